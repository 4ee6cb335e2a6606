"""Latencies of several networks on this machine, in rounds, so that what drifts touches all alike."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evo_moo.errors import MetricError, ProblemError
from evo_moo.problem import Configuration, SearchProblem
from evo_moo.toolkit.devices.table import LATENCY, LatencyTable

ROUNDS, LEAST_AGREEMENT = 3, 0.9
FEWEST_TO_RANK = 5
"""Of fewer networks than these, ranks say too little to refuse a measurement."""


@dataclass(frozen=True)
class Deployment:
    """How a network runs on a device.

    Attributes:
        runtime: As in ``model_latency``; empty: as the problem's ``profile`` measures ``latency_ms``, else ``"torch"``.
        batch_size: Samples per forward pass; None: those of the problem's example.
        threads: Threads of one forward pass.
    """

    runtime: str = ""
    batch_size: int | None = None
    threads: int = 1

    @property
    def is_own(self) -> bool:
        """Whether nothing is asked but what the problem itself measures."""
        return self == Deployment()

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def measure_networks(
    problem: SearchProblem,
    device: str,
    configurations: Sequence[Configuration],
    deployment: Deployment = Deployment(),
    rounds: int = ROUNDS,
) -> LatencyTable:
    """Measure networks on this machine, one after the other in each of several rounds.

    Args:
        problem: The problem.
        device: Name of the device.
        configurations: The networks.
        deployment: How they run.
        rounds: Number of rounds.

    Returns:
        The medians of the rounds, and their standard deviations.

    Raises:
        ProblemError: The problem neither measures a latency nor shows a network, or it cannot run so.
        MetricError: The rounds rank the networks otherwise.
    """
    measure = _measurement(problem, deployment)
    times = np.array([[measure(config) for config in configurations] for _ in range(rounds)])
    if rounds > 1 and len(configurations) >= FEWEST_TO_RANK and (least := _agreement(times)) < LEAST_AGREEMENT:
        raise MetricError(
            f"rounds of measurements must agree, by a rank correlation of at least {LEAST_AGREEMENT}, but have "
            f"{least:.2f}; try again when the machine is quiet"
        )
    # What is kept is the median of the rounds: of three, its standard error is about half their deviation.
    stds = times.std(axis=0, ddof=1) / np.sqrt(rounds) if rounds > 1 else np.zeros(len(configurations))
    return LatencyTable(device, list(configurations), np.median(times, axis=0).tolist(), stds.tolist())


def _agreement(times: Any) -> float:
    from scipy.stats import spearmanr

    return min(float(spearmanr(one, other).statistic) for one, other in itertools.pairwise(times))


def _measurement(problem: SearchProblem, deployment: Deployment) -> Callable[[Configuration], float]:
    if deployment.is_own and problem.profiles:
        return lambda config: _profiled(problem, config)
    if not problem.has_network:
        raise ProblemError(
            f"`{problem.name()}` must define `network(self, config)`, or a `profile` that measures `{LATENCY}`, to be "
            "measured here, but does not; measure elsewhere, and name the table by --csv"
        )

    def measured(config: Configuration) -> float:
        from evo_moo.toolkit.latency import model_latency

        runtime = deployment.runtime or "torch"
        try:
            latency = model_latency(
                *problem.network(config),
                runtime=runtime,
                batch_size=deployment.batch_size,
                threads=deployment.threads,
            )
        except (ValueError, ImportError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise ProblemError(f"`{problem.name()}` cannot be measured so: {reason}") from error
        return latency.corrected_ms

    return measured


def _profiled(problem: SearchProblem, config: Configuration) -> float:
    metrics = problem.call_profile(config).metrics
    if LATENCY not in metrics:
        raise ProblemError(
            f"`profile` of `{problem.name()}` must measure `{LATENCY}`, to be used here, but returns "
            f"{', '.join(metrics) or 'nothing'}; name a runtime by --runtime, or measure elsewhere"
        )
    return float(metrics[LATENCY])
