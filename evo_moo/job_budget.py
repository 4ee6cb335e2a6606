"""The values and sections of a job file that say for how long to search."""

import datetime
import numbers
import re
import sys
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from evo_moo.engine import Budget
from evo_moo.stop_rules import RuleName, StopWhen

_UNITS_S = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def seconds(value: Any) -> float:
    """Read a duration: a number of seconds, or text such as ``"90 s"``, ``"10 min"``, ``"1.5 h"``, ``"2 d"``."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(s|sec|min|m|h|d)\s*", value, re.ASCII)
        number = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    else:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    if not 0 < number <= sys.float_info.max:
        raise ValueError("must be a duration above 0, in seconds or as in '90 s', '10 min' or '2 h'")
    return float(number)


def moment(value: Any) -> str:
    """Read a date with a time, TOML's own or ISO 8601 text, and give it as text with its offset from UTC."""
    try:
        read = datetime.datetime.fromisoformat(value) if isinstance(value, str) and len(value) > 10 else value
        if isinstance(read, datetime.datetime):
            return read.astimezone().isoformat()
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError("must be a date with a time, as in 2026-12-01T08:00:00 or 2026-12-01T08:00:00+01:00")


def _plain_integer(value: Any) -> Any:
    return value if isinstance(value, bool) or not isinstance(value, numbers.Integral) else int(value)


Seconds = Annotated[float, BeforeValidator(seconds)]
Moment = Annotated[str, BeforeValidator(moment)]
Whole = Annotated[int, BeforeValidator(_plain_integer), Strict()]


class Section(BaseModel):
    """A table of a job file: every key is known, and checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StopWhenSection(Section):
    """Which rule ends a search that no longer gets better."""

    rule: RuleName
    tol: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    period: Annotated[Whole, Field(ge=1)] | None = None
    n_skip: Annotated[Whole, Field(ge=0)] | None = None


def _rule_by_name(value: Any) -> Any:
    return {"rule": value} if isinstance(value, str) else value


class BudgetSection(Section):
    """When to end."""

    n_evals: Annotated[Whole, Field(ge=1)] | None = None
    n_gen: Annotated[Whole, Field(ge=1)] | None = None
    time: Seconds | None = None
    stop_when: Annotated[StopWhenSection | None, BeforeValidator(_rule_by_name)] = None
    deadline: Moment | None = None

    def limits(self) -> Budget:
        """Give the budget as the engine takes it."""
        stop_when = StopWhen(**self.stop_when.model_dump()) if self.stop_when else None
        deadline = datetime.datetime.fromisoformat(self.deadline).timestamp() if self.deadline else None
        return Budget(self.n_evals, self.n_gen, self.time, stop_when, deadline)
