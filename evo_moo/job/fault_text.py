"""Faults of a job in words."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel

from evo_moo.job.command import KEYS

_RULES = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "finite_number": "must be a finite number",
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    "too_short": "must have at least {min_length}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "must be a whole number"),
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "string_type": "must be text",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "must be a table"),
    "value_error": "{error}",
}
"""Name of each of pydantic's faults to the rule that is broken, with the names of pydantic's context."""


def fault_text(error: Any, job: type[BaseModel]) -> str:
    """Return one of pydantic's faults in words: key, rule, value, way out.

    Args:
        error: One of the ``errors()`` of a ``ValidationError``.
        job: The model of a whole job, which says what keys there are.
    """
    *path, last = [str(part) for part in error["loc"]]
    key, kind = ".".join([*path, last]), error["type"]
    if kind == "missing":
        way_out = "; name a problem, or give a `command`" if key == "problem.use" else ""
        return f"`{key}` must be given, but is missing{way_out}"
    if kind == "extra_forbidden":
        known = _keys_of(job, path)
        if path == ["problem"] and last in KEYS:
            return f"`{key}` must not stand beside `use`, as it is of a `command`; drop one of them"
        near = difflib.get_close_matches(last, known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        hint = "`evo-moo batch` takes it; " if key in ("grid", "runs") else hint
        return f"`{key}` is no key of a job; {hint}known here: {', '.join(known)}"
    rule = f" {_RULES[kind].format(**error.get('ctx', {}))}" if kind in _RULES else f": {error['msg']}"
    return f"`{key}`{rule}, but is {error['input']!r}"


def _keys_of(table: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the keys that a table may have, in the file's words; the path leads to it from the table above all."""
    for name in path:
        annotation = table.model_fields[name].annotation
        table = (get_args(annotation) or (annotation,))[0]  # of a section that may be None, the section
    more = list(KEYS) if list(path) == ["problem"] else []
    fields = {name: field for name, field in table.model_fields.items() if not field.exclude}
    return [*(field.alias or name for name, field in fields.items()), *more]
