"""The watch: false alarms without drift, and the delay until an alarm with drift of three sizes, beside other tests.

Run: python -m tests.benchmarks.bench_watch [MONTHS [SEEDS]], by default 200 months and 20 seeds.

The others are what one would do by hand, a test each day of each metric: exact binomial, Fisher's and
Kolmogorov-Smirnov tests, at a level of 5 %, and at one that is corrected for days and metrics; and, where it is
installed, detectors of river with their defaults.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import binom, chi2, hypergeom, ks_2samp

from evo_moo.deployment.card import Input, ModelCard, Search, Training
from evo_moo.deployment.watch.detector import MONTH_S
from evo_moo.deployment.watch.plan import Watched, plan
from evo_moo.deployment.watch.streams import Events, Terms
from evo_moo.deployment.watch.watch import REST, WINDOW_S

Array = np.ndarray[Any, Any]
LIMITS = ("accuracy >= 0.9", "latency_p95_ms <= 20", "calibration_error <= 0.05", "accuracy_gap <= 0.05")
ON_GROUPS = ("accuracy >= 0.8", "latency_p95_ms <= 20")
N_COLUMNS, SHARE_OF_B, BEGIN = 8, 0.3, 3
FIRST = 1000
"""Rows that the other tests take as their reference."""
SIZES = ("small", "middle", "large")
DRIFTS = {
    "accuracy 0.90 to 0.88, 0.85, 0.80": ("wrong", (0.12, 0.15, 0.2)),
    "accuracy of b 0.90 to 0.85, 0.80, 0.70": ("wrong_b", (0.15, 0.2, 0.3)),
    "requests over 20 ms 5 % to 7, 10, 20 %": ("slow", (0.07, 0.1, 0.2)),
    "one input of 8 by 0.1, 0.3, 1 sd": ("shift", (0.1, 0.3, 1.0)),
    "answers of confidence 0.999, 5, 10, 30 %": ("confident", (0.05, 0.1, 0.3)),
}


def card() -> ModelCard:
    """Return the card of a classifier that gives a score, and promises nothing."""
    return ModelCard(
        name="simulated",
        built_at="",
        evo_moo="",
        configuration={},
        input=Input(shape=(N_COLUMNS,), dtype="float32"),
        outputs="score",
        promises={},
        serving={},
        tolerance=0.0,
        search=Search(run="", problem="", n_evaluations=0, objectives={}),
        training=Training(seed=1),
        machine={},
        reproduce="",
    )


@dataclass
class World:
    """Columns of a log: requests that arrive at random, of two groups, with labels."""

    columns: dict[str, Events]

    @classmethod
    def new(cls, months: float, per_day: float, seed: int, **late: float) -> "World":
        """Simulate a log; ``late`` holds from month ``BEGIN`` on."""
        rng = np.random.default_rng(seed)
        n = rng.poisson(months * MONTH_S / 86_400 * per_day)
        times = np.sort(rng.random(n)) * months * MONTH_S
        after = times > BEGIN * MONTH_S
        of_b = rng.random(n) < SHARE_OF_B
        wrong = np.where(after, late.get("wrong", 0.1), 0.1)
        wrong = np.where(after & of_b, late.get("wrong_b", wrong), wrong)
        confidence = rng.uniform(0.82, 0.98, size=n)  # an error more changes it nowhere: the model does not know
        is_sure = after & (rng.random(n) < late.get("confident", 0.0))
        confidence = np.where(is_sure, 0.999, confidence)
        is_wrong, label = rng.random(n) < wrong, rng.random(n) < 0.5
        score = np.where(label != is_wrong, confidence, 1 - confidence)
        slow = rng.random(n) < np.where(after, late.get("slow", 0.05), 0.05)
        inputs = rng.normal(size=(n, N_COLUMNS))
        inputs[:, -1] *= rng.random(n) < 0.05  # mostly 0, as pixels are
        inputs[:, 0] += np.where(after, late.get("shift", 0.0), 0.0)
        groups, rows = np.where(of_b, "b", "a"), np.arange(n) + seed * 10_000_000
        values = {
            "wrong": is_wrong,
            "latency": np.where(slow, 25.0, 10.0),
            "calibration": np.column_stack([score, score - label]),
            "outputs": score,
            "positive": score >= 0.5,
            "inputs": inputs,
        }
        return cls({k: Events(times, rows, np.asarray(v, float).reshape(n, -1), groups) for k, v in values.items()})

    def parts(self, months: float) -> Iterator[dict[str, Events]]:
        """Yield the columns month by month, so that memory is bounded."""
        ends = np.searchsorted(self.columns["wrong"].times, np.arange(0, months + 1) * MONTH_S)
        for low, high in pairwise(ends):
            yield {name: events.only(np.arange(low, high)) for name, events in self.columns.items()}


def watch(world: World, months: float, limits: tuple[str, ...], false_alarms: float) -> list[tuple[float, str]]:
    """Return times and names of alarms of the watch."""
    watched, faults = plan(card(), limits)
    assert not faults
    terms = [Terms(len(watched) / false_alarms, REST * WINDOW_S, k) for k in range(len(watched))]
    streams = {each.name: each.make(mine) for each, mine in zip(watched, terms, strict=True)}
    alarms = []
    for columns in world.parts(months):
        for each in watched:
            events = columns[each.source]
            if len(events.times):
                found = streams[each.name].feed(events._replace(values=each.prepare(events.values)))
                alarms += [(one.time, f"{each.name} {one.part}".strip()) for one in found]
    return sorted(alarms)


def daily(world: World, watched: list[Watched], level: float) -> list[tuple[float, str]]:
    """Return alarms of a test each day of each metric, with the first rows as the reference of what has no limit."""
    alarms, columns = [], world.columns
    times = columns["wrong"].times
    edges = np.searchsorted(times, np.arange(0, times[-1] + WINDOW_S, WINDOW_S))
    for low, high in pairwise(edges):
        if high - low < 5 or low < FIRST:
            continue
        for each in watched:
            events = columns[each.source]
            for name, p in _p_values(each, events, each.prepare(events.values), slice(low, high)):
                if p < level:
                    alarms.append((float(times[high - 1]), f"{each.name} {name}".strip()))
    return alarms


def _p_values(watched: Watched, events: Events, values: Array, now: slice) -> Iterator[tuple[str, float]]:
    new, old, groups = values[now], values[:FIRST], events.groups
    if watched.bound is not None and watched.name not in ("accuracy_gap", "calibration_error"):
        limit = 1 - watched.bound if watched.of_bad else 0.05
        yield "", float(binom.sf(new.sum() - 1, len(new), limit))
    elif watched.name.startswith("group"):
        for name in ("a", "b"):
            one, other = new[groups[now] == name], old[groups[:FIRST] == name]
            n, k = len(one) + len(other), one.sum() + other.sum()
            yield name, float(hypergeom.sf(one.sum() - 1, n, k, len(one)))
    elif watched.bound is None:
        ps = [ks_2samp(new[:, j], old[:, j]).pvalue for j in range(new.shape[1])]
        yield "", min(1.0, min(ps) * len(ps))


def of_river(values: Array, make: Callable[[], Any]) -> list[int]:
    """Return rows at which a detector of river raises an alarm."""
    detector, rows = make(), []
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            rows.append(i)
    return rows


def interval(n: int) -> str:
    """Return a count with its interval of 95 % (Garwood 1936)."""
    low, high = chi2.ppf(0.025, 2 * n) / 2 if n else 0.0, chi2.ppf(0.975, 2 * n + 2) / 2
    return f"{n:5d} [{low:5.1f}, {high:5.1f}]"


def show_false_alarms(months: int) -> None:
    """Print how many alarms are raised without drift, in logs of so many months."""
    print(f"false alarms in logs of {months} months without drift, [95 %]; borne: what the setting says")
    for n_logs, per_day, limits, false_alarms in [
        (5, 20, LIMITS, 1 / 12),
        (2, 100, LIMITS, 1 / 12),
        (1, 500, LIMITS, 1 / 12),
        (2, 100, ON_GROUPS, 1 / 12),
        (1, 20, LIMITS, 1.0),
        (1, 100, LIMITS, 1.0),
        (1, 100, (), 1.0),
    ]:
        n_watched, borne = len(plan(card(), limits)[0]), false_alarms * months * n_logs
        logs = (World.new(months, per_day, seed) for seed in range(n_logs))
        n = sum(len(watch(world, months, limits, false_alarms)) for world in logs)
        words = f"{per_day:4d} a day, {n_watched} tests, {months * n_logs:5d} months"
        print(f"  watch, {words}: {interval(n)} of {borne:6.1f}", flush=True)
    watched = plan(card(), LIMITS)[0]
    for words, level in [("5 %", 0.05), ("corrected", corrected(LIMITS))]:
        n = sum(len(daily(World.new(10, 100, seed), watched, level)) for seed in range(4))
        print(f"  daily tests, {words}, 100 a day, 40 months: {interval(n)}", flush=True)


def corrected(limits: tuple[str, ...], false_alarms: float = 1 / 12) -> float:
    """Return the level of Bonferroni of daily tests."""
    return false_alarms / (MONTH_S / WINDOW_S * (len(plan(card(), limits)[0]) + 2))


def show_delays(n_seeds: int, per_day: float = 200) -> None:
    """Print the days until an alarm, and what raised it."""
    print(
        f"days until the alarm at {per_day:g} requests a day, of {n_seeds} seeds: median [quartiles], found in 60 days"
    )
    for words, (name, sizes) in DRIFTS.items():
        limits = ON_GROUPS if name == "wrong_b" else LIMITS
        watched = plan(card(), limits)[0]
        for size, value in zip(SIZES, sizes, strict=True):
            worlds = [World.new(BEGIN + 2, per_day, seed, **{name: value}) for seed in range(n_seeds)]
            ours = [after(watch(world, BEGIN + 2, limits, 1 / 12)) for world in worlds]
            theirs = [after(daily(world, watched, corrected(limits))) for world in worlds[: max(1, n_seeds // 2)]]
            firsts = [alarms[0][1] for alarms in ours if alarms]
            by = ", ".join(f"{n} {firsts.count(n)}" for n in sorted(set(firsts), key=firsts.count, reverse=True))
            print(
                f"  {words}, {size:6s}: watch {delays(ours)}; daily, corrected {delays(theirs)}; first by {by}",
                flush=True,
            )


def after(alarms: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the alarms since the drift began."""
    return [each for each in alarms if each[0] > BEGIN * MONTH_S]


def delays(found: list[list[tuple[float, str]]]) -> str:
    """Return the median and the quartiles of days until the first alarm."""
    days = [(alarms[0][0] - BEGIN * MONTH_S) / 86_400 if alarms else np.inf for alarms in found]
    q = np.quantile(days, [0.25, 0.5, 0.75], method="inverted_cdf")
    return f"{q[1]:5.1f} [{q[0]:5.1f}, {q[2]:5.1f}] {sum(map(np.isfinite, days))}/{len(days)}"


def show_river(months: int, per_day: float = 100) -> None:
    """Print what detectors of river do on the column of errors alone."""
    try:
        from river import drift
    except ImportError:
        print("river is not installed")
        return
    makers = {
        "ADWIN": drift.ADWIN,
        "ADWIN, delta 1e-4": lambda: drift.ADWIN(delta=1e-4),
        "PageHinkley": drift.PageHinkley,
        "KSWIN": lambda: drift.KSWIN(seed=1),
        "DDM": drift.binary.DDM,
        "HDDM_A": drift.binary.HDDM_A,
    }
    for name, make in makers.items():
        n = len(of_river(World.new(months, per_day, 0).columns["wrong"].values[:, 0], make))
        found = []
        for seed in range(10):
            events = World.new(BEGIN + 2, 200, seed, wrong=0.15).columns["wrong"]
            found.append(after([(float(events.times[i]), "") for i in of_river(events.values[:, 0], make)]))
        print(
            f"  river {name}: false alarms in {months} months {interval(n)}; 0.90 to 0.85: {delays(found)}", flush=True
        )


def main() -> None:
    """Print all tables."""
    given = [int(each) for each in sys.argv[1:] if each.isdecimal()]
    months, seeds = (*given, *(200, 20)[len(given) :])
    show_false_alarms(months)
    show_delays(seeds)
    show_river(min(months, 50))


if __name__ == "__main__":
    main()
