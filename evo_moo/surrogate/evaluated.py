"""The configurations that a search has measured, as acquisition functions take them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from evo_moo.problem.metrics import mean_metrics
from evo_moo.surrogate.archive import Archive
from evo_moo.surrogate.front import worst_of_usual
from evo_moo.surrogate.posterior import Posterior
from evo_moo.surrogate.protocol import Array


@dataclass(frozen=True)
class Evaluated:
    """Configurations that have objectives, each once.

    Attributes:
        X: ``(n, n_var)`` encoded rows, of points with their choices.
        F: ``(n, n_obj)`` objectives of the rows, minimised; where they are noisy, as the models expect them.
        violation: ``(n,)`` sums of broken limits.
        n_replicates: Number of evaluations of these rows beyond the first of each, also of those that failed.
    """

    X: Array
    F: Array
    violation: Array
    n_replicates: int = 0

    @property
    def scaled(self) -> Array:
        """``(n, n_obj)`` objectives from 0, the best value, to 1, the worst that is not far out."""
        ideal = self.F.min(axis=0) / 2  # halves never overflow
        return np.asarray((self.F / 2 - ideal) / np.maximum(worst_of_usual(self.F) / 2 - ideal, 1e-12))

    @classmethod
    def of(cls, archive: Archive, posterior: Posterior) -> Self:
        """Return what was measured; replicates count by their mean."""
        X, replicates = archive.with_objectives()
        means = [mean_metrics(metrics) for metrics in replicates]
        F = posterior.goals.F(means)
        log = [model.log for model in posterior.objective_models]
        F[:, log] = np.log(F[:, log])
        noisy = [model.is_noisy for model in posterior.objective_models]
        if any(noisy):
            F[:, noisy] = posterior.objectives(X)[0][:, noisy]
        violation = np.array([posterior.goals.violation(metrics) for metrics in means])
        return cls(X, F, violation, archive.n_replicates())
