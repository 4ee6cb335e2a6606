"""How fair decisions are to groups, by fairlearn, and training data made fairer by weights."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
METRICS = {
    "accuracy": "share classified correctly",
    "balanced_accuracy": "mean of the two classes' recalls",
    "auc": "area under the ROC curve, of the scores before thresholds",
    "demographic_parity_difference": "largest minus smallest share predicted positive among the groups",
    "demographic_parity_ratio": "smallest by largest of these shares (disparate impact); 1 where nobody is positive",
    "equal_opportunity_difference": "largest minus smallest true positive rate among the groups",
    "equalized_odds_difference": "the larger of the differences of true and of false positive rates",
}
"""Names of the metrics to what they are."""


def group_metrics(y: Array, score: Array, decided: Array, group: Array) -> dict[str, float]:
    """Return the metrics of ``METRICS`` for labels, scores, decisions and groups, each ``(n,)``.

    What is undefined is left out: a difference of true positive rates where a group has no positive label, one of both
    rates also where a group has no negative label, AUC and recalls where only one label is there.
    """
    from fairlearn import metrics as fair
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

    decided = np.asarray(decided, dtype=int)
    labels = [set(np.unique(y[group == one]).tolist()) for one in np.unique(group)]
    undefined: set[str] = set()
    if not all(1 in here for here in labels):
        undefined |= {"equal_opportunity_difference", "equalized_odds_difference"}
    if not all(0 in here for here in labels):
        undefined.add("equalized_odds_difference")
    if len(set.union(*labels)) < 2:
        undefined |= {"balanced_accuracy", "auc"}
    metrics: dict[str, Callable[[], Any]] = {
        "accuracy": lambda: accuracy_score(y, decided),
        "balanced_accuracy": lambda: balanced_accuracy_score(y, decided),
        "auc": lambda: roc_auc_score(y, score),
    }
    for name in list(METRICS)[3:]:
        metrics[name] = functools.partial(getattr(fair, name), y, decided, sensitive_features=group)
    if not decided.any():
        metrics["demographic_parity_ratio"] = lambda: 1.0  # fairlearn divides 0 by 0
    return {name: float(metrics[name]()) for name in METRICS if name not in undefined}


def threshold_metrics(y: Array, score: Array, group: Array, thresholds: Array) -> dict[str, Array]:
    """Return what ``group_metrics`` gives for many decisions by thresholds of scores, but for ``auc``.

    Counts of sorted scores stand in for a pass over the rows each, so that thousands of thresholds take milliseconds.

    Args:
        y: ``(n,)`` labels, 0 or 1.
        score: ``(n,)`` scores; positive is who has at least the threshold of the group.
        group: ``(n,)`` numbers of groups; each must have both labels.
        thresholds: ``(k, n_groups)`` thresholds.

    Returns:
        Names of metrics to ``(k,)`` values.
    """
    n_groups = thresholds.shape[1]
    positive, n_of = np.empty((2, n_groups, len(thresholds))), np.empty((2, n_groups, 1))
    for label in (0, 1):
        for one in range(n_groups):
            scores = np.sort(score[(group == one) & (y == label)])
            n_of[label, one] = len(scores)
            positive[label, one] = len(scores) - np.searchsorted(scores, thresholds[:, one], side="left")
    rates = positive / n_of  # false and true positive rates of each group
    selected = positive.sum(axis=0) / n_of.sum(axis=0)
    whole = positive.sum(axis=1) / n_of.sum(axis=1)
    right = positive[1].sum(axis=0) + (n_of[0] - positive[0]).sum(axis=0)
    gaps, most = np.ptp(rates, axis=1), selected.max(axis=0)
    return {
        "accuracy": right / len(y),
        "balanced_accuracy": (whole[1] + 1 - whole[0]) / 2,
        "demographic_parity_difference": np.ptp(selected, axis=0),
        "demographic_parity_ratio": np.where(most > 0, selected.min(axis=0) / np.where(most > 0, most, 1.0), 1.0),
        "equal_opportunity_difference": gaps[1],
        "equalized_odds_difference": gaps.max(axis=0),
    }


def reweighting(y: Array, group: Array, strength: float) -> Array:
    """Return the weights ``(n,)`` that make label and group independent, to the power of a strength in ``[0, 1]``.

    At 1 they are P(group) P(label) / P(group, label): Kamiran and Calders, "Data preprocessing techniques for
    classification without discrimination", Knowledge and Information Systems 33 (2012), algorithm 3.
    """
    joint = np.zeros((group.max() + 1, 2))
    np.add.at(joint, (group, y), 1 / len(y))
    weights = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0) / np.where(joint > 0, joint, 1.0)
    return np.asarray(weights[group, y] ** strength)
