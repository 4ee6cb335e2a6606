"""What the re-trainings of a front's members show: read from the run's ledger and that of its confirmation.

Where a problem declares for a metric another one on test data (``Metric(held_out=True, test_of=…)``), that is what is
confirmed. The shift from what the search recorded then has two parts: the luck of the search's seed (the same
validation data with new seeds), and the selection on the validation data (test data instead). Where there is none, only
the first is seen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.run_front import RunFront
from evo_moo.analysis.statistics.intervals import LEVEL, Array, nondominated_share, posterior_means, t_interval
from evo_moo.errors import RunFolderError, UsageError
from evo_moo.problem.goals import EQUALITY_TOLERANCE, Goals
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.seeding import seed_for
from evo_moo.space.variables import json_key
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading

FOLDER = "confirmation"
DRAWS = 10_000


@dataclass(frozen=True)
class Confirmation:
    """The replicates of a run's members.

    Attributes:
        run: Name of the run.
        goals: Objectives and limits.
        known_metrics: Every metric that the problem declares.
        members: The run's evaluations that were repeated, with the metrics that the search recorded.
        seeds: The seeds, ``(n_seeds,)``.
        values: Of each metric what is confirmed of it, on test data where there are some: ``(n_members, n_seeds)``
            array, NaN where a repetition gave nothing.
        again: Of metrics with test data the same metric again, as in ``values``.
        p_nondominated: Of each member the probability that it is on the Pareto front of the true means of all of
            them; None where it has fewer than two replicates.
        notes: What is to be known before any of it is believed.
    """

    run: str
    goals: Goals
    known_metrics: dict[str, Metric]
    members: list[Evaluation]
    seeds: list[int]
    values: dict[str, Array]
    again: dict[str, Array]
    p_nondominated: list[float | None]
    notes: list[str]

    @property
    def names(self) -> list[str]:
        """Names of the confirmed metrics, those of the goals first."""
        return list(self.values)

    def test_metric(self, name: str) -> str:
        """Name the metric that stands for one on test data; empty if there is none."""
        return _test_of(self.known_metrics, name)

    def searched(self, name: str) -> Array:
        """What the search recorded of a metric, ``(n_members,)``, NaN where it recorded nothing."""
        return np.array([member.metrics.get(name, np.nan) for member in self.members], dtype=float)

    def summary(self, name: str) -> dict[str, Array]:
        """Return number, mean, standard deviation and interval of a metric, each ``(n_members,)``."""
        return _summary(self.values[name])

    def shift(self, name: str) -> dict[str, dict[str, float] | None]:
        """Return how far a metric moved from the search to the confirmation, on average over the members.

        The average over the members is taken seed by seed; the interval is Student's over the seeds, so that members
        may share what a seed does to them. The values of the search are taken as they are. Where replicates are
        missing, either the members count that have all, or the seeds that all members have, whichever leaves more.

        Returns:
            ``total``; where there are test data also ``seed`` and ``split``, which add up to it: ``mean``, ``low`` and
            ``high``, or None where it cannot be told.
        """
        searched = self.searched(name)[:, None]
        parts = {"total": self.values[name] - searched}
        if name in self.again:
            parts |= {"seed": self.again[name] - searched, "split": self.values[name] - self.again[name]}
        return {part: _average(rows) for part, rows in parts.items()}

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data; a number that cannot be told is None."""
        summaries = {name: self.summary(name) for name in self.names}
        return {
            "run": self.run,
            "level": LEVEL,
            "seeds": self.seeds,
            "objectives": {o.metric: o.direction for o in self.goals.objectives},
            "test_metrics": {name: test for name in self.names if (test := self.test_metric(name))},
            "members": [
                {
                    "id": member.id,
                    "configuration": member.configuration,
                    "p_nondominated": self.p_nondominated[i],
                    "metrics": {
                        name: {
                            "search": _number(self.searched(name)[i]),
                            **{key: _number(column[i]) for key, column in summaries[name].items()},
                            "values": [_number(value) for value in self.values[name][i]],
                        }
                        for name in self.names
                    },
                }
                for i, member in enumerate(self.members)
            ],
            "shift": {name: self.shift(name) for name in self.names},
            "notes": self.notes,
        }


def members_of_run(ledger: Ledger, result: RunFront, ids: Sequence[int]) -> list[Evaluation]:
    """Return the evaluations with these ids, by default those of the front.

    Raises:
        UsageError: An id is that of no evaluation that ended well, or there is no front.
    """
    run = result.run_dir
    if not ids:
        if not result.front:
            raise UsageError(f"`{run}` must have a front to be confirmed, but no evaluation has ended well")
        return result.front
    on_front = {e.id: e for e in result.front}
    found = {e.id: on_front.get(e.id, e) for e in ledger.of_ids(list(dict.fromkeys(ids)))}
    endings = {key: found[key].status if key in found else "none" for key in dict.fromkeys(ids)}
    if wrong := {key: status for key, status in endings.items() if status != "ok"}:
        raise UsageError(
            *(
                f"an id must be that of a full evaluation that ended well, but {key} of {run} is {status}; "
                "`evo-moo show` lists the front"
                for key, status in wrong.items()
            )
        )
    return list(found.values())


def read_confirmation(run_dir: str | Path, ids: Sequence[int] = (), n_seeds: int | None = None) -> Confirmation:
    """Read how the members of a run did when they were repeated.

    Args:
        run_dir: The run folder.
        ids: Ids of the run's evaluations; by default those of its front.
        n_seeds: How many replicates of each to look at; by default all.

    Raises:
        UsageError: An id is that of no evaluation that ended well, or there is no front.
        RunFolderError: It is no run folder, or nothing of it was confirmed.
    """
    run_dir = Path(run_dir)
    with reading(run_dir) as ledger:
        result = RunFront.of_ledger(ledger, run_dir)
        members = members_of_run(ledger, result, ids)
        meta = ledger.meta()
    if not (run_dir / FOLDER / "run.sqlite").is_file():
        raise RunFolderError(f"`{run_dir}` must have been confirmed, but was not; `evo-moo confirm {run_dir}` does so")
    with reading(run_dir / FOLDER) as ledger:
        facts = ledger.meta()
        known = {name: Metric(**its) for name, its in facts["metrics"].items()}
        repeats = _repeats(ledger, members, n_seeds)
    most = max((number for its in repeats for number in its), default=0)
    seeds = [confirmation_seed(number) for number in range(1, most + 1)]
    goals = result.goals
    needed = {name: _test_of(known, name) or name for name in goals.metric_names}
    well = [
        {k: e.metrics for k, e in its.items() if e.status == "ok" and e.metrics.keys() >= set(needed.values())}
        for its in repeats
    ]
    recorded = dict.fromkeys([*needed, *(name for member in members for name in member.metrics)])
    names = [name for name in recorded if name in needed or not _held(known, name)]
    tests = {name: test for name in names if (test := _test_of(known, name))}
    values = {name: _matrix(well, tests.get(name, name), most) for name in names}
    values = {name: its for name, its in values.items() if name in needed or not np.isnan(its).all()}
    again = {name: _matrix(well, name, most) for name in tests if name in values}
    found = Confirmation(
        run_dir.absolute().name,
        *(goals, known, members, seeds, values, again),
        _probabilities(goals, values, result),
        [],
    )
    found.notes.extend(_notes(found, repeats, meta, facts, result))
    return found


def confirmation_seed(number: int) -> int:
    """Return the seed of a replicate, counted from 1: the same in all confirmations, so that any two can be paired."""
    return seed_for("confirmation", number)


def _repeats(ledger: Ledger, members: Sequence[Evaluation], n_seeds: int | None) -> list[dict[int, Evaluation]]:
    """Return for each member its repetitions by their numbers."""
    by_key: dict[str, dict[int, Evaluation]] = {}
    for row in ledger.evaluations():
        if n_seeds is None or row.replicate <= n_seeds:
            by_key.setdefault(json_key(row.configuration), {})[row.replicate] = row
    return [by_key.get(json_key(member.configuration), {}) for member in members]


def _test_of(known: Mapping[str, Metric], name: str) -> str:
    return next((test for test, metric in known.items() if metric.test_of == name), "")


def _held(known: Mapping[str, Metric], name: str) -> bool:
    return name in known and known[name].held_out


def _matrix(well: Sequence[Mapping[int, Metrics]], name: str, n_seeds: int) -> Array:
    rows = [[its.get(number, {}).get(name, np.nan) for number in range(1, n_seeds + 1)] for its in well]
    return np.array(rows, dtype=float).reshape(len(well), n_seeds)


def _summary(values: Array) -> dict[str, Array]:
    there = ~np.isnan(values)
    n = there.sum(axis=1)
    mean = np.where(n > 0, np.where(there, values, 0.0).sum(axis=1) / np.maximum(n, 1), np.nan)
    squares = np.where(there, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    sd = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
    # Values that are all the same have no spread; their mean may be off by a rounding.
    same = np.array([np.ptp(row[here]) == 0 if here.any() else False for row, here in zip(values, there, strict=True)])
    sd = np.where(same & (n > 1), 0.0, sd)
    low, high = t_interval(mean, sd, n)
    return {"n": n, "mean": mean, "sd": sd, "low": low, "high": high}


def _average(rows: Array) -> dict[str, float] | None:
    there = ~np.isnan(rows)
    some = there.any(axis=1)
    complete = max(rows[there.all(axis=1)], rows[some][:, there[some].all(axis=0)], key=np.size)
    if complete.size == 0:
        return None
    its = _summary(complete.mean(axis=0)[None])
    found = {key: float(its[key][0]) for key in ("mean", "low", "high")}
    return {key: value for key, value in found.items() if not np.isnan(value)}


def _probabilities(goals: Goals, values: Mapping[str, Array], result: RunFront) -> list[float | None]:
    """Return for each member how often it is on the front of the drawn means."""
    names = goals.metric_names
    stacked = np.stack([values[name] for name in names], axis=1)
    enough = (~np.isnan(stacked).any(axis=1)).sum(axis=1) >= 2
    shares: list[float | None] = [None] * len(stacked)
    if not enough.any():
        return shares
    n_draws = max(DRAWS // 10, min(DRAWS, 100 * DRAWS // int(enough.sum())))  # fewer for a front of hundreds
    drawn = posterior_means(stacked[enough], n_draws, seed_for("confirmed front", 0))
    column = {name: drawn[:, :, i] for i, name in enumerate(names)}
    F = goals.F_of_columns(column)
    excess = [limit.violation(column[limit.metric]) for limit in goals.limits]  # type: ignore[arg-type]
    broken = [
        np.abs(its) * (np.abs(its) > EQUALITY_TOLERANCE) if limit.relation == "equals" else np.maximum(its, 0.0)
        for its, limit in zip(excess, goals.limits, strict=True)
    ]
    found = nondominated_share(F, np.sum(broken, axis=0) if broken else np.zeros(F.shape[:2]))
    for i, share in zip(np.flatnonzero(enough), found.tolist(), strict=True):
        shares[i] = share
    return shares


def _notes(
    found: Confirmation,
    repeats: Sequence[Mapping[int, Evaluation]],
    meta: Mapping[str, Any],
    facts: Mapping[str, Any],
    result: RunFront,
) -> list[str]:
    notes = []
    trained = [n for n in found.goals.metric_names if n in found.known_metrics and not found.known_metrics[n].cheap]
    if without := [name for name in trained if name not in found.again]:
        notes.append(
            f"no test split for {', '.join(without)}: only the luck of the seed is taken out, not the selection on the "
            "data that the search judged by"
        )
    if tested := ", ".join(f"{n} by {found.test_metric(n)}" for n in found.goals.metric_names if n in found.again):
        notes.append(f"on test data: {tested}; the intervals hold for these very data, trained anew")
    if len(found.seeds) < 2:
        notes.append(f"{len(found.seeds)} seed shows no spread: no intervals and no probabilities; try --seeds 5")
    still = [n for n in trained if len(found.seeds) > 1 and (np.nan_to_num(found.summary(n)["sd"], nan=1.0) == 0).any()]
    if still:
        why = "" if facts["confirmation"]["is_seeded"] else "; `evaluate` takes neither `seed` nor `replicate`"
        notes.append(f"{', '.join(still)} did not vary at all for some members, so their intervals are points{why}")
    rows = [e for its in repeats for e in its.values()]
    if bad := Counter(f"{e.status}: {e.reason}" for e in rows if e.status not in ("ok", "asked")):
        counted = "; ".join(f"{n} {words}" for words, n in bad.most_common(3))
        notes.append(f"{sum(bad.values())} of {len(rows)} repetitions did not end well, and are left out: {counted}")
    if missing := len(repeats) * len(found.seeds) - sum(e.status != "asked" for e in rows):
        notes.append(f"{missing} repetitions have not ended yet; `evo-moo confirm` goes on")
    versions = [facts.get("problem_version"), meta.get("problem_version")]
    if versions[0] != versions[1]:
        may = "has" if None not in versions else "may have"
        notes.append(f"the problem {may} changed since the search, so that the shift is not that of luck alone")
    if meta.get("state") != "finished":
        notes.append(f"the run is not finished, but {meta.get('state', 'new')}: its front may change")
    if not result.feasible:
        notes.append("nothing of the run keeps the limits: these are the nearest")
    return notes


def _number(value: Any) -> float | int | None:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if plain is None or plain != plain else plain
