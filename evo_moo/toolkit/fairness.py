"""How fair decisions are to groups, by fairlearn, and training data made fairer by weights."""

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
    "equal_opportunity_difference": "largest minus smallest true positive rate",
    "equalized_odds_difference": "the larger of the differences of true and of false positive rates",
}
"""Names of the metrics to what they are."""


def group_metrics(y: Array, score: Array, decided: Array, group: Array) -> dict[str, float]:
    """Return every metric of ``METRICS`` for labels, scores, decisions and groups, each ``(n,)``."""
    from fairlearn import metrics as fair
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

    decided = np.asarray(decided, dtype=int)
    found = {name: getattr(fair, name)(y, decided, sensitive_features=group) for name in list(METRICS)[3:]}
    if not decided.any():
        found["demographic_parity_ratio"] = 1.0  # fairlearn divides 0 by 0
    accuracies = accuracy_score(y, decided), balanced_accuracy_score(y, decided), roc_auc_score(y, score)
    return dict(zip(METRICS, map(float, (*accuracies, *found.values())), strict=True))


def reweighting(y: Array, group: Array, strength: float) -> Array:
    """Return the weights ``(n,)`` that make label and group independent, to the power of a strength in ``[0, 1]``.

    At 1 they are P(group) P(label) / P(group, label): Kamiran and Calders, "Data preprocessing techniques for
    classification without discrimination", Knowledge and Information Systems 33 (2012), algorithm 3.
    """
    joint = np.zeros((group.max() + 1, 2))
    np.add.at(joint, (group, y), 1 / len(y))
    weights = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0) / np.where(joint > 0, joint, 1.0)
    return np.asarray(weights[group, y] ** strength)
