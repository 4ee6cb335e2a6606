"""How the metrics of a context are named."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from evo_moo.problem.contexts import AT, at
from evo_moo.problem.metrics import Metric

Value = TypeVar("Value")


class ContextNames(NamedTuple):
    """The names of metrics in a context.

    Attributes:
        context: Its name; empty for all, and without contexts.
        known: Every metric that the problem declares, as it is recorded.
    """

    context: str
    known: Mapping[str, Metric]

    def recorded(self, name: str) -> str:
        """Return the name under which a metric is recorded here: ``latency_ms@phone`` for ``latency_ms``."""
        own = at(name, self.context)
        return own if self.context and own in self.known else name

    def of_table(self, table: Mapping[str, Value]) -> dict[str, Value]:
        """Return a table of metrics by their recorded names."""
        return {self.recorded(name): value for name, value in table.items()}

    def are_here(self, name: str) -> bool:
        """Return whether a metric is of this context, or the same in all."""
        differs = name in self.known and self.known[name].by_context
        return not self.context or not differs or name == at(name.partition(AT)[0], self.context)
