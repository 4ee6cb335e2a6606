"""Requests as columns of numbers, one for everything that is watched."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.deployment.card import ModelCard
from evo_moo.deployment.measure import decided
from evo_moo.deployment.watch.requests import Request
from evo_moo.deployment.watch.streams import Events

Array = npt.NDArray[Any]
CONFIDENCE = "confidence"


def probabilities(outputs: Array, card: ModelCard) -> Array:
    """Return what classifiers gave as probabilities, ``(n, k)`` or of scores ``(n, 1)``; other outputs as they are."""
    if card.outputs != "logits":
        return outputs.reshape(len(outputs), -1)
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def watched_outputs(outputs: Array, card: ModelCard) -> Array:
    """Return outputs as they are watched, ``(n, d)``: of classes the probabilities, and the largest of them."""
    shares = probabilities(outputs, card)
    has_classes = card.outputs in ("logits", "probabilities")
    return np.column_stack([shares, shares.max(axis=1)]) if has_classes else shares


def output_names(card: ModelCard) -> tuple[str, ...]:
    """Return the names of the columns of ``watched_outputs``, as far as the card has some."""
    return (*card.classes, CONFIDENCE) if card.classes and card.outputs in ("logits", "probabilities") else ()


def answers(outputs: Array, groups: Array, card: ModelCard) -> Array:
    """Return the class of each sample, or the value; NaN where the threshold of its group is not known."""
    if card.outputs == "values":
        return np.asarray(outputs.reshape(len(outputs), -1)[:, 0], dtype=float)
    if card.outputs != "score" or set(card.thresholds) <= {""}:
        kept = outputs[:, 0] if card.outputs == "score" else outputs
        return decided(kept, card.outputs, card.thresholds, None).astype(float)
    known = np.isin(groups, list(card.thresholds))
    classes = np.full(len(outputs), np.nan)
    classes[known] = decided(outputs[known, 0], card.outputs, card.thresholds, groups[known])
    return classes


def errors_of(outputs: Array, labels: Array, card: ModelCard) -> Array:
    """Return confidences and their errors, ``(n, 2)``: against the label of a score, else whether it was right."""
    shares = probabilities(outputs, card)
    if card.outputs == "score":
        return np.column_stack([shares[:, 0], shares[:, 0] - (labels > 0)])
    confidence = shares.max(axis=1)
    return np.column_stack([confidence, confidence - (shares.argmax(axis=1) == labels)])


def request_columns(requests: Sequence[Request], card: ModelCard) -> dict[str, Events]:
    """Return what is known of requests when they are answered."""
    columns = {
        "latency": _events(requests, lambda each: each.latency_ms),
        "failed": _events(requests, lambda each: each.failed),
        "inputs": _events(requests, lambda each: each.inputs),
    }
    raw = _events(requests, lambda each: each.output)
    if len(raw.times):
        columns["outputs"] = raw._replace(values=watched_outputs(raw.values, card))
    if card.outputs == "score":
        columns["positive"] = _answered(requests, card)
    return {name: each for name, each in columns.items() if len(each.times)}


def labelled_columns(requests: Sequence[Request], card: ModelCard) -> dict[str, Events]:
    """Return what is known of requests once their labels are there."""
    labels = {each.row: each.label for each in requests}
    answered = _answered(requests, card)
    truth = np.array([labels[row] for row in answered.rows.tolist()], dtype=float)
    if card.outputs == "values":
        return {"error": answered._replace(values=np.abs(answered.values[:, 0] - truth)[:, None])}
    columns = {"wrong": answered._replace(values=(answered.values[:, 0] != truth)[:, None].astype(float))}
    raw = _events(requests, lambda each: each.output)
    if len(raw.times):
        truth = np.array([labels[row] for row in raw.rows.tolist()], dtype=float)
        columns["calibration"] = raw._replace(values=errors_of(raw.values, truth, card))
    return {name: each for name, each in columns.items() if len(each.times)}


def _answered(requests: Sequence[Request], card: ModelCard) -> Events:
    """Return the answers: those of the log, else those that the outputs make."""
    known = [each for each in requests if each.prediction is not None or each.output is not None]
    events = _events(known, lambda each: np.nan if each.prediction is None else each.prediction)
    open_ones = np.flatnonzero(np.isnan(events.values[:, 0]))
    if len(open_ones):
        outputs = np.array([known[i].output for i in open_ones], dtype=float)
        events.values[open_ones, 0] = answers(outputs, events.groups[open_ones], card)
    return events.only(~np.isnan(events.values[:, 0]))


def _events(requests: Sequence[Request], value: Callable[[Request], Any]) -> Events:
    kept = [(each, given) for each in requests if (given := value(each)) is not None]
    values = np.array([given for _, given in kept], dtype=float).reshape(len(kept), -1 if kept else 1)
    return Events(
        np.array([each.time for each, _ in kept], dtype=float),
        np.array([each.row for each, _ in kept], dtype=np.int64),
        values,
        np.array([each.group for each, _ in kept], dtype=np.str_),
    )
