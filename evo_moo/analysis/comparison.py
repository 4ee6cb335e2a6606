"""Compares configurations by their replicates, and groups of runs by their hypervolumes after equal budgets."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.batch_summary import common_boxes, group_name, without_seed
from evo_moo.analysis.confirmation_ledger import FOLDER, members_of_run, read_confirmation
from evo_moo.analysis.run_front import RunFront
from evo_moo.analysis.run_record import RunRecord
from evo_moo.analysis.statistics.intervals import summary_of_rows
from evo_moo.analysis.statistics.replicates import means_and_spread
from evo_moo.analysis.statistics.significance import Comparison, Sample, adjusted, compare_samples, per_seed
from evo_moo.errors import MetricError, UsageError
from evo_moo.object_code import changed_parts
from evo_moo.pareto import Box
from evo_moo.problem.contexts import at
from evo_moo.problem.fronts import Fronts
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Key
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.reading import reading

HYPERVOLUME = "hypervolume"
FEW_RUNS = 20
"""Of fewer skewed values, Student's interval holds the truth less often than it says."""


@dataclass(frozen=True)
class ComparisonReport:
    """What a comparison showed.

    Attributes:
        samples: By metric and name of the sample, its values by what pairs them.
        comparisons: Every two samples of each metric; ``p_holm`` is adjusted for all of them.
        notes: What limits the conclusions.
    """

    samples: dict[str, dict[str, dict[Any, float]]]
    comparisons: list[Comparison]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data; a number that is not finite is None."""
        rows = [{key: _finite(value) for key, value in test._asdict().items()} for test in self.comparisons]
        samples = {
            metric: {name: self._summary(metric, name) for name in by_name} for metric, by_name in self.samples.items()
        }
        return {"samples": samples, "comparisons": rows, "notes": self.notes}

    def _summary(self, metric: str, name: str) -> dict[str, Any]:
        values = list(self.samples[metric][name].values())
        summary = {key: _finite(float(column[0])) for key, column in summary_of_rows(np.array([values])).items()}
        ends = {} if summary["sd"] else {"low": None, "high": None}  # equal values say nothing of the spread
        return summary | {"n": len(values)} | ends | {"values": values}


def compare_configurations(
    configurations: Mapping[str, tuple[str | Path, Key]], metrics: Sequence[str] = ()
) -> ComparisonReport:
    """Compare configurations that were trained several times.

    Their values come from the run's confirmation; else from metrics recorded by seed, as ``METRIC_seed_N``; else from
    the repetitions of a search, which have seeds of their own and so are no pairs, unless they are points of the same
    trainings.

    Args:
        configurations: A name for each, to its run folder and the id of its evaluation.
        metrics: What to compare; by default the metrics of the goals that all of them have replicates of.

    Raises:
        UsageError: An id is that of no evaluation that ended well, or of one with several points.
        MetricError: One has fewer than two replicates, or they share no metric.
        RunFolderError: A folder is no run folder.
    """
    if len(configurations) < 2:
        raise UsageError(f"a comparison must be of at least two different things, but is of {len(configurations)}")
    replicates, goals, notes = {}, [], []
    for name, (run_dir, evaluation_id) in configurations.items():
        of_run, replicates[name], remarks = _replicates(Path(run_dir), evaluation_id, name)
        goals.append(of_run)
        notes += [f"{name.rpartition(':')[0] or name}: {remark}" for remark in remarks]
    first = next(iter(replicates.values()))
    common = [metric for metric in first if all(metric in by_metric for by_metric in replicates.values())]
    wanted = list(metrics) or [metric for metric in common if any(metric in each.metric_names for each in goals)]
    if lacking := [metric for metric in wanted if metric not in common] or ([] if wanted else ["their goals"]):
        has = "; ".join(f"{name} has {', '.join(by_metric) or 'none'}" for name, by_metric in replicates.items())
        raise MetricError(f"compared configurations must all have replicates of {', '.join(lacking)}, but {has}")
    samples = {metric: {name: dict(by_metric[metric]) for name, by_metric in replicates.items()} for metric in wanted}
    tests = [test for metric, by_name in samples.items() for test in compare_samples(by_name, metric)]
    return ComparisonReport(samples, adjusted(tests), [*dict.fromkeys(notes), *_small(tests)])


def compare_runs(groups: Mapping[str, Sequence[str | Path]], n_evals: float | None = None) -> ComparisonReport:
    """Compare groups of runs by the hypervolumes that they reached after equally many evaluations.

    The hypervolumes are shares of one common box; see ``evo_moo.analysis.batch_summary``. Runs of different
    groups that have the same seeds are compared in pairs. With contexts the mean over them is compared, and each.

    Args:
        groups: Names to run folders, which differ in their seeds.
        n_evals: After how many full evaluations; by default as many as the shortest run has.

    Raises:
        UsageError: There are fewer than two groups, or a run has not made so many evaluations.
        MetricError: Runs search for different goals.
        RunFolderError: A folder is no run folder.
    """
    if len(groups) < 2:
        raise UsageError(f"a comparison must be of at least two different things, but is of {len(groups)}")
    runs = {name: [RunRecord.read(path) for path in paths] for name, paths in groups.items()}
    every = [run for members in runs.values() for run in members]
    at = _common_budget(every, n_evals)
    boxes = common_boxes(run.result for run in every)
    samples: dict[str, dict[str, dict[Any, float]]] = {}
    for name, members in runs.items():
        distinct = len({run.seed for run in members}) == len(members)
        for i, run in enumerate(members):
            for metric, volume in _hypervolumes_after(run, at, boxes).items():
                samples.setdefault(metric, {}).setdefault(name, {})[run.seed if distinct else (name, i)] = volume
    each = (compare_samples(_of_several(by_name), metric) for metric, by_name in samples.items())
    tests = [test for of_metric in each for test in of_metric]
    notes = [*_budget_notes(runs, at), *_small(tests), *_seed_notes(runs, tests)]
    return ComparisonReport(samples, adjusted(tests) if len(samples) > 1 else tests, notes)


def groups_in(folder: Path) -> dict[str, list[Path]]:
    """Return the runs in a folder, such as a batch's, by groups that differ in their seed only."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(file.parent for file in folder.glob("*/run.sqlite")):
        with reading(path) as ledger:
            job = ledger.facts().job
        if job:
            groups.setdefault(without_seed(job), []).append(path)
    names = [group_name(paths[0].name) for paths in groups.values()]
    return {
        name if names.count(name) == 1 else paths[0].name: paths
        for name, paths in zip(names, groups.values(), strict=True)
    }


def _spent(run: RunRecord) -> float:
    """Return what a run's evaluations cost, in full evaluations."""
    return round(sum(e.cost for e in run.evaluations if e.status != "asked"), 6)


def _hypervolumes_after(run: RunRecord, n_evals: float, boxes: Sequence[Box | None]) -> dict[str, float]:
    """Return the hypervolume of what was feasible among the first so many evaluations, means where it was repeated.

    With contexts also that of each, as ``hypervolume@phone``.
    """
    ended = _within(run, n_evals)
    rows = list(means_and_spread(ended)[0].values()) if run.result.means else [e.metrics for e in ended]
    fronts = Fronts(run.goals)
    fronts.add(rows)
    shares = {HYPERVOLUME: fronts.share(boxes)}
    for context, box, F in zip(run.goals.contexts, boxes, fronts.F, strict=False):
        shares[at(HYPERVOLUME, context.name)] = box.share(F) if box else 0.0
    return shares


def _within(run: RunRecord, n_evals: float) -> Iterator[Evaluation]:
    """Return the full ones among the first so many evaluations that ended."""
    spent = 0.0
    for e in run.evaluations:
        spent += 0.0 if e.status == "asked" else e.cost
        if e.status == "ok" and spent <= n_evals + 1e-6:
            yield e


def _replicates(run_dir: Path, evaluation_id: Key, name: str) -> tuple[Goals, dict[str, Sample], list[str]]:
    """Return a run's goals, the values of a configuration by metric and by what pairs them, and notes on them."""
    with reading(run_dir) as ledger:
        front = RunFront.of_ledger(ledger, run_dir)
        evaluation, *others = members_of_run(ledger, front, [evaluation_id])
        if others:
            points = ", ".join(str(e.id) for e in (evaluation, *others))
            raise UsageError(f"a compared configuration must be one point, but {name} offers {points}; name one")
        repeated = {(str(run_dir), e.training_id): e.metrics for e in ledger.with_replicates(evaluation)}
    if (run_dir / FOLDER / "run.sqlite").is_file():
        confirmation = read_confirmation(run_dir, [evaluation_id])
        seeds = confirmation.seeds
        confirmed: dict[str, Sample] = {
            metric: {
                seed: value for seed, value in zip(seeds, values[0].tolist(), strict=True) if not math.isnan(value)
            }
            for metric, values in confirmation.values.items()
        }
        if any(len(sample) > 1 for sample in confirmed.values()):
            return front.goals, confirmed, confirmation.notes
    metrics = dict.fromkeys(metric.partition("_seed_")[0] for metric in evaluation.metrics if "_seed_" in metric)
    if by_seed := _of_several({metric: per_seed(evaluation, metric) for metric in metrics}):
        return front.goals, by_seed, []
    if len(repeated) > 1:
        metrics = dict.fromkeys(metric for row in repeated.values() for metric in row)
        by_training = {
            metric: {key: row[metric] for key, row in repeated.items() if metric in row} for metric in metrics
        }
        return front.goals, _of_several(by_training), []
    raise MetricError(
        f"a compared configuration must have been trained at least twice, but {name} was not; "
        f"`evo-moo confirm {run_dir} --id {evaluation_id}` does so"
    )


def _of_several(samples: Mapping[str, Sample]) -> dict[str, Sample]:
    """Return the samples that have more than one value."""
    return {name: sample for name, sample in samples.items() if len(sample) > 1}


def _common_budget(runs: Sequence[RunRecord], n_evals: float | None) -> float:
    """Return after how many evaluations runs are compared, if they search for the same."""
    for run in runs:
        if not run.goals.seek_the_same_as(runs[0].goals):
            raise MetricError(
                f"compared runs must search for the same goals, but {runs[0].name} searches {_words(runs[0].goals)} "
                f"and {run.name} {_words(run.goals)}; compare configurations, as RUN:ID, by a metric that both have"
            )
    shortest = min(runs, key=_spent)
    most = _spent(shortest)
    if n_evals is not None and not 0 < n_evals <= most:
        why = f"as {shortest.name} has no more"
        raise UsageError(f"`--at` must be above 0 and at most {most:g}, {why}, but is {n_evals:g}")
    return most if n_evals is None else n_evals


def _seed_notes(runs: Mapping[str, Sequence[RunRecord]], tests: Sequence[Comparison]) -> list[str]:
    notes = []
    if tests and (least := min(test.n for test in tests)) < FEW_RUNS:
        notes.append(
            f"the intervals are Student's: of {least} runs they hold the truth 95 times in 100 where hypervolumes are "
            "spread about normally, some 90 times where they are skewed, and less often where a run now and then fails"
        )
    if single := [name for name, members in runs.items() if len(members) == 1]:
        notes.append(f"one run shows no spread, so {', '.join(single)} is not tested; run it with other seeds too")
    return notes


def _budget_notes(runs: Mapping[str, Sequence[RunRecord]], at: float) -> list[str]:
    spent = {name: sorted({_spent(run) for run in members}) for name, members in runs.items()}
    notes = []
    if any(budgets != [at] for budgets in spent.values()):
        words = [f"{name} spent {b[0]:g}{f' to {b[-1]:g}' if b[1:] else ''}" for name, b in spent.items()]
        notes.append(f"budgets differ ({'; '.join(words)}): compared after the first {at:g} evaluations of each run")
    every = [run for members in runs.values() for run in members]
    problems = [run.job.get("problem") for run in every]
    if any(problem != problems[0] for problem in problems):
        what = "different problems, or with different options"
        notes.append(f"the runs search {what}: only you know whether they compare")
    if changed := dict.fromkeys(change for run in every[1:] for change in changed_parts(every[0].parts, run.parts)):
        notes.append(f"the code of the runs differs ({'; '.join(changed)}): only you know whether they compare")
    if mixed := [run.name for run in every if run.result.code_changes]:
        notes.append(f"the code changed, as accepted, while they went on: {', '.join(mixed)}")
    if unfinished := [run.name for run in every if run.state != "finished"]:
        notes.append(f"not finished: {', '.join(unfinished)}")
    return notes


def _small(tests: Sequence[Comparison]) -> list[str]:
    """Say what samples so small cannot show, once each."""
    return [note for note in dict.fromkeys(test.note() for test in tests) if note]


def _words(goals: Goals) -> str:
    limits = [f"{limit.metric} {limit.relation} {limit.bound:g}" for limit in goals.limits]
    weights = [f"{context.name} by {context.weight:g}" for context in goals.contexts]
    return ", ".join([*(f"{o.direction} {o.metric}" for o in goals.objectives), *limits, *weights])


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
