"""Means and standard deviations over evaluations that repeat one another with other seeds."""

from collections.abc import Iterable

import numpy as np

from evo_moo.problem.metrics import Metrics, mean_metrics
from evo_moo.problem.points import Key
from evo_moo.storage.evaluation_row import Evaluation


def means_and_spread(evaluations: Iterable[Evaluation]) -> tuple[dict[Key, Metrics], dict[Key, Metrics]]:
    """Return means and standard deviations over the replicates of each full evaluation, by the id of the first.

    Points of a training are repeated by those of equal choices.
    """
    groups: dict[tuple[int, str], list[Metrics]] = {}
    ids: dict[tuple[int, str], Key] = {}
    for e in evaluations:
        same = e.continues if e.replicate and e.continues else e.training_id, e.choices_json
        groups.setdefault(same, []).append(e.metrics)
        ids.setdefault(same, e.id)
    named = {ids[same]: replicates for same, replicates in groups.items()}
    means = {first: mean_metrics(replicates) for first, replicates in named.items()}
    spread = {
        first: {name: float(np.std([metrics[name] for metrics in replicates], ddof=1)) for name in means[first]}
        for first, replicates in named.items()
        if len(replicates) > 1
    }
    return means, spread
