"""One configuration measured several times and shown, so that a user sees how far to trust a latency.

A problem takes part by its method ``network``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from rich.console import Console

from evo_moo.analysis.result import Result
from evo_moo.cli.console import new_table, open_console, pairs, safe
from evo_moo.errors import ProblemError, SpaceError
from evo_moo.job.identity import followed
from evo_moo.plugins import absolute_reference, load_problem
from evo_moo.storage.reading import reading

if TYPE_CHECKING:
    from evo_moo.problem.search_problem import Configuration, SearchProblem
    from evo_moo.toolkit.latency import Latency

BINS, BAR = 12, 40


def report_latency(
    reference: str,
    options: Mapping[str, Any],
    config: str | None = None,
    run_dir: Path | None = None,
    config_id: str | None = None,
    seed: int = 0,
    repeats: int = 3,
    **deployment: Any,
) -> None:
    """Measure one configuration of a problem and print how its times are distributed.

    Args:
        reference: How the problem is named.
        options: Options of the problem; without any, those of the run, if it searched the problem by this reference.
        config: The configuration as JSON.
        run_dir: A run folder to take the configuration from.
        config_id: Number of the evaluation in that run.
        seed: Decides the configuration where none is given.
        repeats: Number of measurements.
        **deployment: Passed on to ``model_latency``: ``runtime``, ``batch_size``, ``threads``, ...

    Raises:
        PluginError: The problem cannot be found, or the run has no such configuration.
        ProblemError: The problem shows no network, or the deployment asks for what cannot be done.
        SpaceError: The configuration is not one of the problem's.
    """
    from evo_moo.toolkit.latency import model_latency

    problem = load_problem(reference, options or _options_of(run_dir, reference))
    configuration = _configuration(problem, config, run_dir, config_id, seed)
    network, example = problem.network(configuration)
    try:
        measured = [model_latency(network, example, **deployment) for _ in range(repeats)]
    except (ValueError, ImportError) as error:
        raise ProblemError(f"`{reference}` cannot be measured so: {error}") from error
    except (RuntimeError, MemoryError) as error:  # torch's, as of memory that is spent
        reason = str(error).partition("\n")[0]
        rule = f"`{reference}` must have a network that runs as asked"
        raise ProblemError(f"{rule}, but: {reason}; a smaller batch may fit") from error
    console = open_console()
    console.print(safe(pairs(configuration)))
    _print_table(console, measured)
    print_histogram(console, measured)
    _print_verdict(console, measured)


def _options_of(run_dir: Path | None, reference: str) -> dict[str, Any]:
    """Return the options that a run searched a problem with; none if it searched another."""
    if run_dir is None:
        return {}
    with reading(run_dir) as ledger:
        facts = ledger.facts()
        searched = followed(facts.job, facts, run_dir).get("problem", {})
        same = searched.get("use") == absolute_reference(reference, Path())
        return dict(searched.get("options", {})) if same else {}


def _configuration(
    problem: "SearchProblem", config: str | None, run_dir: Path | None, config_id: str | None, seed: int
) -> "Configuration":
    if (run_dir is None) != (config_id is None) or (run_dir is not None and config is not None):
        ways = "by `--config`, or by `--run` and `--config-id` together, or not at all"
        raise SpaceError(f"a configuration is given {ways}")
    if run_dir is not None:
        given = next((e.configuration for e in Result.read(run_dir).evaluations if str(e.id) == str(config_id)), None)
        if given is None:
            raise SpaceError(f"`--config-id` must be the number of an evaluation in {run_dir}, but is {config_id}")
    elif config is None:
        return problem.space.decode(problem.space.sample(1, np.random.default_rng(seed)))[0]
    else:
        try:
            given = orjson.loads(config)
        except ValueError as error:
            raise SpaceError(f"`--config` must be JSON, such as '{{\"lr\": 0.1}}', but it is not: {error}") from error
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if name not in problem.post_training}
    return problem.space.decode(problem.space.encode([given]))[0]


def _print_table(console: Console, measured: "list[Latency]") -> None:
    headings = ("", "median", "95 % interval", "IQR", "p95", "blocks", "cold start", "samples/s", "reference")
    table = new_table(headings, left=[""], title="milliseconds per forward pass, of blocks of calls")
    for number, latency in enumerate(measured, 1):
        low, high = latency.ci_ms
        lower, upper, p95 = np.quantile(latency.corrected_times_ms, [0.25, 0.75, 0.95])
        times = [f"{latency.corrected_ms:.4g}", f"{low:.4g} to {high:.4g}", f"{upper - lower:.3g}", f"{p95:.4g}"]
        blocks = f"{len(latency.times_ms)} of {latency.n_repeats}"
        speeds = [f"{latency.cold_start_ms:.4g}", f"{latency.throughput_per_s:.4g}"]
        slower = f"{latency.reference_ms / latency.nominal_ms - 1:+.0%}"
        reference = f"{latency.reference_ms:.3g} ({slower}{'' if latency.is_sound else ', busy'})"
        table.add_row(f"{number} corrected", *times, blocks, *speeds, reference)
        table.add_row("  raw", f"{latency.median_ms:.4g}", "", f"{latency.iqr_ms:.3g}", f"{latency.p95_ms:.4g}")
    console.print(table)


def print_histogram(console: Console, measured: "list[Latency]") -> None:
    """Print the histogram of all corrected times as bars."""
    times = np.concatenate([latency.corrected_times_ms for latency in measured])
    low, high = np.quantile(times, [0.02, 0.98])  # a few blocks far off would squeeze all others into one bar
    counts, edges = np.histogram(times, bins=BINS, range=(low, high))
    console.print("corrected, all measurements")
    for count, edge in zip(counts, edges, strict=False):
        console.print(f"{edge:>10.4g} {'█' * round(BAR * count / counts.max())} {count}", highlight=False)
    console.print(f"{'outside':>10} {len(times) - counts.sum()}", highlight=False)


def _print_verdict(console: Console, measured: "list[Latency]") -> None:
    """Say what was timed, and how far the measurements agree: what a difference between two networks must exceed."""
    n_busy = sum(not latency.is_sound for latency in measured)
    busy = f"; the machine was busy in {n_busy} of {len(measured)}, which a search would repeat" if n_busy else ""
    console.print(f"Times are {measured[0].clock}, corrected; raw ones are wall times{busy}.")
    if len(measured) < 2:
        return
    corrected, raw = [m.corrected_ms for m in measured], [m.median_ms for m in measured]
    console.print(
        f"The {len(measured)} medians lie within {np.ptp(corrected) / np.median(corrected):.1%} of each other "
        f"(raw: {np.ptp(raw) / np.median(raw):.1%}); take smaller differences between networks for noise."
    )
