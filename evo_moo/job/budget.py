"""The section of a job file that says when a search ends, and the values that it holds."""

import datetime
import numbers
import re
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

RuleName = Literal["hypervolume stalls", "ftol", "xtol", "default"]
_UNITS_S = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def seconds(value: Any) -> float:
    """Return a duration in seconds: a number, or text such as ``"90 s"``, ``"10 min"``, ``"1.5 h"``, ``"2 d"``.

    Raises:
        ValueError: It is no duration above 0.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(s|sec|min|m|h|d)\s*", value, re.ASCII)
        number = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    else:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    if not 0 < number <= sys.float_info.max:
        raise ValueError("must be a duration above 0, in seconds or as in '90 s', '10 min' or '2 h'")
    return float(number)


def moment(value: Any) -> str:
    """Return a date with a time, TOML's own or ISO 8601 text, as text with the offset from UTC.

    Raises:
        ValueError: It is none.
    """
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


class StopWhen(Section):
    """The rule that ends a search which no longer gets better; a setting that is None has the rule's default.

    Attributes:
        rule: ``"hypervolume stalls"``, or one of pymoo's terminations: ``"ftol"``, ``"xtol"``, ``"default"``.
        tol: Change that counts as none.
        period: Number of generations over which there must be no change.
        n_skip: Of pymoo's terminations: number of generations left out between two that are compared.
    """

    rule: RuleName
    tol: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    period: Annotated[Whole, Field(ge=1)] | None = None
    n_skip: Annotated[Whole, Field(ge=0)] | None = None


def _rule_by_name(value: Any) -> Any:
    return {"rule": value} if isinstance(value, str) else value


@dataclass(frozen=True)
class Budget:
    """When a search ends: at whichever limit comes first.

    Attributes:
        n_evals: Number of evaluations, kept exactly; with refinement in full evaluations, never exceeded.
        n_gen: Number of generations.
        time_s: Seconds of searching, summed over resumes; evaluations that run then are finished.
        stop_when: A rule that ends a search which no longer gets better.
        deadline: Unix time in seconds at which the run stops as if by a signal, to be resumed later.
    """

    n_evals: int | None = None
    n_gen: int | None = None
    time_s: float | None = None
    stop_when: StopWhen | None = None
    deadline: float | None = None


class BudgetSection(Section):
    """When a search ends."""

    n_evals: Annotated[Whole, Field(ge=1)] | None = None
    n_gen: Annotated[Whole, Field(ge=1)] | None = None
    time: Seconds | None = None
    stop_when: Annotated[StopWhen | None, BeforeValidator(_rule_by_name)] = None
    deadline: Moment | None = None

    def limits(self) -> Budget:
        """Return the budget as the engine reads it."""
        deadline = datetime.datetime.fromisoformat(self.deadline).timestamp() if self.deadline else None
        return Budget(self.n_evals, self.n_gen, self.time, self.stop_when, deadline)
