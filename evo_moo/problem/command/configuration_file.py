"""The configuration file of one evaluation, as JSON, TOML or YAML."""

import json
import re
from collections.abc import Mapping
from typing import Any

import tomli_w

from evo_moo.values import plain

CONFIG = "config"
SUFFIXES = ("json", "toml", "yaml", "yml")
_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""Characters that JSON writes as they are, and in which YAML sees ends of lines or of the document."""


def suffix_of(name: str) -> str | None:
    """Return the format that a placeholder such as ``config.toml`` asks for; None where it names no such file."""
    base, _, suffix = name.partition(".")
    if base != CONFIG:
        return None
    return (suffix if suffix in SUFFIXES else None) if "." in name else "json"


def configuration_text(table: Mapping[str, Any], suffix: str) -> str:
    """Return a table in one of the formats.

    YAML is written as JSON, which it contains, but for numbers such as 1e-05: most readers of YAML take that for a
    text, and 1.0e-05 for the number.
    """
    table = plain(table)
    if suffix == "json":
        return json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    if suffix == "toml":
        return tomli_w.dumps(_without_none(table))
    return "".join(f"{_yaml(str(key))}: {_yaml(value)}\n" for key, value in table.items()) or "{}\n"


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_none(each) for key, each in value.items() if each is not None}
    return [_without_none(each) for each in value if each is not None] if isinstance(value, list | tuple) else value


def _yaml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(str(key))}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        mantissa, e, exponent = text.partition("e")
        return f"{mantissa}{'' if '.' in mantissa else '.0'}{e}{exponent}"
    return _NO_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
