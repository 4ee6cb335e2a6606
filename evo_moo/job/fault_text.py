"""Faults of a job in words."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any


def fault_text(error: Any, known_keys: Mapping[str, Sequence[str]]) -> str:
    """Return one of pydantic's faults in words: key, rule, value, way out.

    Args:
        error: One of the ``errors()`` of a ``ValidationError``.
        known_keys: Dotted name of each table to the keys that it may have.
    """
    *path, last = [str(part) for part in error["loc"]]
    key, value, context = ".".join([*path, last]), error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = known_keys.get(".".join(path), [])
            near = difflib.get_close_matches(last, known, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            if key in ("grid", "runs"):
                hint = "`evo-moo batch` takes it; "
            return f"`{key}` is no key of a job; {hint}known here: {', '.join(known)}"
        case "missing":
            return f"`{key}` must be given, but is missing"
        case "greater_than_equal":
            return f"`{key}` must be at least {context['ge']}, but is {value!r}"
        case "less_than":
            return f"`{key}` must be below {context['lt']}, but is {value!r}"
        case "less_than_equal":
            return f"`{key}` must be at most {context['le']}, but is {value!r}"
        case "literal_error":
            return f"`{key}` must be {context['expected']}, but is {value!r}"
        case "int_type" | "int_from_float" | "int_parsing":
            return f"`{key}` must be a whole number, but is {value!r}"
        case "bool_type":
            return f"`{key}` must be true or false, but is {value!r}"
        case "list_type":
            return f"`{key}` must be a list, but is {value!r}"
        case "string_type":
            return f"`{key}` must be text, but is {value!r}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"`{key}` must be a table, but is {value!r}"
        case "value_error":
            return f"`{key}` {context['error']}, but is {value!r}"
        case _:
            return f"`{key}`: {error['msg']}, but is {value!r}"
