"""pymoo's test problems made as awkward as trainings: noisy, failing, slow, and misleading at low fidelity."""

import hashlib
import json
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.problems import get_problem

from evo_moo.errors import ProblemError
from evo_moo.problem import Configuration, Fidelity, Goals, Metric, PymooProblem, SearchProblem
from evo_moo.space import Integer, Real

TOP_FIDELITY = 27


class Synthetic(SearchProblem):
    """A problem of pymoo's by its name, whose outcomes are known, with the faults of a real one.

    Args:
        problem: Its name, such as ``"zdt1"``.
        arguments: Its arguments, such as ``{n_var = 6}``.
        noise: Standard deviation of what is added to each objective, drawn from the evaluation's seed.
        failure_rate: Share of the configurations whose evaluation raises; always the same ones.
        delay_s: Seconds that every evaluation sleeps.
        misleading: How wrong the lowest fidelity is, from 0 to 1: at 1 it shows the objectives of the configuration
            mirrored at the middle of its ranges. The error shrinks with the fidelity, and is gone at 27.

    Raises:
        ProblemError: pymoo does not know the problem, or an option is out of range.
    """

    fidelity = Fidelity("steps", 1, TOP_FIDELITY)

    def __init__(
        self,
        problem: str = "zdt1",
        arguments: Mapping[str, Any] | None = None,
        noise: float = 0.0,
        failure_rate: float = 0.0,
        delay_s: float = 0.0,
        misleading: float = 0.0,
    ) -> None:
        shares = {"failure_rate": failure_rate, "misleading": misleading}
        for name, value in {"noise": noise, "delay_s": delay_s, **shares}.items():
            if not 0 <= value <= (1 if name in shares else math.inf):
                raise ProblemError(f"`{name}` must be {'0 to 1' if name in shares else 'at least 0'}, but is {value}")
        try:
            self.plain = PymooProblem(get_problem(problem, **(arguments or {})))
        except Exception as error:
            raise ProblemError(f"`problem` must be one that pymoo's get_problem knows, but: {error}") from error
        self.noise, self.failure_rate, self.delay_s, self.misleading = noise, failure_rate, delay_s, misleading
        self.variables, self.objectives = self.plain.variables, self.plain.objectives
        self.constraints = self.plain.constraints
        self.metrics = {name: Metric(noisy=noise > 0) for name in self.objectives}

    def evaluate(self, config: Configuration, *, fidelity: int | None = None, seed: int) -> dict[str, float]:
        """Evaluate at a fidelity from 1 to 27, by default 27.

        Raises:
            RuntimeError: The configuration is one of those that fail.
        """
        fidelity = TOP_FIDELITY if fidelity is None else fidelity
        if not 1 <= fidelity <= TOP_FIDELITY:
            raise ProblemError(f"`fidelity` must be 1 to {TOP_FIDELITY}, but is {fidelity}")
        time.sleep(self.delay_s)
        if _share_of(config) < self.failure_rate:
            raise RuntimeError("this configuration is one of those that fail")
        metrics = self.plain.evaluate(config)
        wrong = self.misleading * (TOP_FIDELITY - fidelity) / (TOP_FIDELITY - 1)
        if wrong > 0:
            mirrored = self.plain.evaluate(self._mirrored(config))
            metrics |= {name: (1 - wrong) * metrics[name] + wrong * mirrored[name] for name in self.objectives}
        drawn = np.random.default_rng(seed).normal(0.0, self.noise, len(self.objectives))
        return metrics | {name: metrics[name] + float(e) for name, e in zip(self.objectives, drawn, strict=True)}

    def pareto_front(self, goals: Goals | None = None, **options: Any) -> npt.NDArray[np.float64] | None:
        """Return the front as pymoo knows it; None with noise, under which it can be passed by luck."""
        return self.plain.pareto_front(goals, **options) if self.noise == 0 else None

    def _mirrored(self, config: Configuration) -> Configuration:
        kinds = {name: kind for name, kind in self.variables.items() if isinstance(kind, Real | Integer)}
        return config | {name: kind.lowest + kind.highest - config[name] for name, kind in kinds.items()}


def _share_of(config: Configuration) -> float:
    """Return a number in ``[0, 1)`` that the configuration decides."""
    text = json.dumps(config, sort_keys=True).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64
