"""Knowledge distillation: a network learns what a larger one, or an ensemble, expects of each input.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2. A problem takes it up so:

    self.teachers = checked_teachers(teachers, self.variables)                 # in __init__: configurations
    self.variables = {**self.variables, **DISTILLATION} if teachers else self.variables
    settings["distil"] = Distillation.of(self.teacher_networks, config)        # in evaluate, for train_classifier
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from evo_moo.errors import ProblemError, SpaceError
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Real, Variable

if TYPE_CHECKING:
    from torch import Tensor, nn

DISTILLATION: dict[str, Variable] = {
    "teacher_weight": Real(0.0, 1.0),
    "temperature": Real(1.0, 16.0, log=True),
}
"""Variables of a training with teachers."""


@dataclass(frozen=True, eq=False)
class Distillation:
    """The loss of a network that has teachers: a mixture of that by the labels and that by what the teachers expect.

    Attributes:
        teachers: Trained networks, giving logits ``(n, n_classes)``; several are an ensemble, whose probabilities are
            averaged.
        weight: Share of the teachers' loss, from 0 to 1.
        temperature: By which all logits are divided, so that unlikely classes tell more.
    """

    teachers: "Sequence[nn.Module]"
    weight: float
    temperature: float

    @classmethod
    def of(cls, teachers: "Sequence[nn.Module]", config: Mapping[str, Any]) -> Self | None:
        """Read the variables ``DISTILLATION``; without teachers there is nothing to learn of them."""
        return cls(teachers, config["teacher_weight"], config["temperature"]) if teachers else None

    def __call__(self, by_labels: "Tensor", logits: "Tensor", inputs: "Tensor") -> "Tensor":
        """Return the mixed loss, a number.

        Args:
            by_labels: The loss by the labels, a number.
            logits: The network's, ``(n, n_classes)``.
            inputs: Inputs ``(n, ...)``, as augmented as the network saw them.
        """
        import torch
        from torch.nn.functional import cross_entropy

        if self.weight == 0:
            return by_labels
        with torch.no_grad():
            expected = [(teacher.eval()(inputs) / self.temperature).softmax(1) for teacher in self.teachers]
            targets = torch.stack(expected).mean(0)
        # The square keeps the gradient's size: that of soft targets shrinks by it.
        by_teachers = cross_entropy(logits / self.temperature, targets) * self.temperature**2
        return (1 - self.weight) * by_labels + self.weight * by_teachers


def checked_teachers(
    configurations: Sequence[Mapping[str, Any]], variables: Mapping[str, Variable]
) -> list[dict[str, Any]]:
    """Check the configurations of teachers, which are trained without teachers of their own.

    Args:
        configurations: One for each teacher, such as the one that ``evo-moo pick`` prints of an earlier run; the same
            one again is trained with another seed.
        variables: The problem's variables without ``DISTILLATION``.

    Returns:
        The same configurations, in the order of the variables.

    Raises:
        ProblemError: A configuration is none of the problem's; all faults are listed.
    """
    space, faults, checked = SearchSpace(variables), list[str](), list[dict[str, Any]]()
    for number, configuration in enumerate(configurations, 1):
        try:
            checked += space.decode(space.encode([configuration]))
        except SpaceError as error:
            faults += [
                f"`teachers` must be configurations of the problem, but number {number}: {fault}"
                for fault in str(error).splitlines()
            ]
    if faults:
        raise ProblemError("\n".join(faults))
    return checked
