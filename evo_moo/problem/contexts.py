"""Contexts: places, such as devices or load levels, where the same trained model has other metrics.

A metric that differs between contexts is recorded once for each, under names such as ``latency_ms@pixel3``.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from evo_moo.errors import MetricError
from evo_moo.values import plain

AT, BETWEEN = "@", "/"


class Context(NamedTuple):
    """A context, and how much the front there counts beside the others.

    Attributes:
        name: Its name; where several things differ, their values joined, such as ``pixel3/busy``.
        weight: Its share of the search, relative to the others'.
    """

    name: str
    weight: float = 1.0


def at(metric: str, context: str) -> str:
    """Return the name under which a metric is recorded for a context."""
    return f"{metric}{AT}{context}"


def names_of(declared: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of all contexts: of several things that differ, each value with each of the others."""
    return [BETWEEN.join(parts) for parts in itertools.product(*declared.values())] if declared else []


def context_faults(declared: Any, by_context: Collection[str], problem: str) -> list[str]:
    """Say what is wrong with declared contexts.

    Args:
        declared: What the problem declares.
        by_context: Names of the metrics that differ between contexts.
        problem: Name of the problem.
    """
    rule = f"`contexts` of `{problem}`"
    if not isinstance(declared, Mapping):
        return [f'{rule} must be a dict such as {{"device": ["server", "phone"]}}, but is {declared!r}']
    faults = []
    for key, values in declared.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            faults.append(f"{rule}: `{key}` must be a list of names, but is {values!r}")
            continue
        wrong = [v for v in values if not isinstance(v, str) or not v or {AT, BETWEEN} & set(v) or v != v.strip()]
        faults += [f"{rule}: `{key}` must be names without {AT} and {BETWEEN}, but has {v!r}" for v in wrong]
        if not wrong and len(set(values)) < len(values):
            faults.append(f"{rule}: `{key}` must name each once, but is {list(values)!r}")
    if declared and not by_context:
        faults.append(f"{rule} need a metric that differs, declared as Metric(by_context=True), but none is")
    if by_context and not declared:
        faults.append(f"{rule} must say where {', '.join(by_context)} differ, but are empty")
    return faults


def recorded_names(metric: str, contexts: Sequence[str], by_context: Collection[str]) -> list[str]:
    """Return the names under which a metric is recorded: one, or one for each context where it differs."""
    return [at(metric, context) for context in contexts] if metric in by_context else [metric]


class ByContext(NamedTuple):
    """Which metrics of a problem differ between contexts.

    Attributes:
        contexts: Names of all contexts; empty where there are none.
        metrics: Names of the metrics that differ.
    """

    contexts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    def recorded(self, metric: str) -> list[str]:
        """Return the names under which a metric is recorded."""
        return recorded_names(metric, self.contexts, self.metrics)

    def spread(self, returned: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """Return what an evaluation returned with a value for each context in place of a table of them.

        Args:
            returned: Names of metrics to values; a metric may have a mapping of contexts, or of parts of their names,
                to values. A metric that differs, but was returned once, has this value in each context.

        Raises:
            MetricError: A mapping names no context; or the metric was not declared to differ. All faults are named.
        """
        if not self.contexts:
            return returned
        values, faults = dict[Any, Any](), list[str]()
        for name, value in returned.items():
            table = plain(value) if isinstance(value, Mapping) else None
            if name not in self.metrics:
                values[name] = value
                if table and all(self._meant(key) for key in table):
                    rule = "must be declared as Metric(by_context=True) to have a value for each context"
                    faults.append(f"metric `{name}` {rule}, but is not")
            elif table is None:
                values |= dict.fromkeys(self.recorded(name), value)
            else:
                for key, one in table.items():
                    if not (meant := self._meant(key)):
                        faults.append(f"metric `{name}` must be by {', '.join(self.contexts)}, but has {key!r}")
                    values |= {at(name, context): one for context in meant}
        if faults:
            raise MetricError("; ".join(faults))
        return values

    def _meant(self, key: Any) -> list[str]:
        """Return the contexts that a key of a table means: the one of this name, or all with this part."""
        return [context for context in self.contexts if key == context or key in context.split(BETWEEN)]


NO_CONTEXTS = ByContext()
