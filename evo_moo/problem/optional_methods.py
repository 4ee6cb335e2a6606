"""What a problem may define beside ``evaluate``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo_moo.errors import ProblemError

Configuration = dict[str, Any]


class OptionalMethods:
    """Methods of a problem that need not be defined, and whether they are."""

    def profile(self, config: Configuration) -> Mapping[str, float]:
        """Return cheap metrics that need no training; limits on them spare the training.

        What it gives must depend on the variables of ``architecture`` only.
        """
        return {}

    def compute(self, config: Configuration) -> Mapping[str, float]:
        """Return metrics that a formula tells at once, such as a number of parameters; ``profile`` need not give them.

        Optional: a search with surrogates asks for them of thousands of configurations instead of predicting them, so
        it should take no longer than some microseconds. It depends on the variables of ``architecture`` only, and
        gives the same whenever it is called.
        """
        return {}

    @property
    def profiles(self) -> bool:
        """Whether the problem defines ``profile``."""
        return type(self).profile is not OptionalMethods.profile

    @property
    def computes(self) -> bool:
        """Whether the problem defines ``compute``."""
        return type(self).compute is not OptionalMethods.compute

    def mutate(
        self, config: Configuration, *, weights: Mapping[str, float], context: str, rng: np.random.Generator
    ) -> Configuration:
        """Return a variation of a configuration that promises more, by what the problem knows of its space.

        Optional: where it is defined, some children of an evolution are made by it in place of the plain mutation, as
        often as such children come on the front.

        Args:
            config: The configuration.
            weights: How much each objective counts where its parent stands on the front; the sum is 1.
            context: The context whose front is bred for; empty without contexts.
            rng: Source of all randomness.
        """
        raise NotImplementedError

    @property
    def mutates(self) -> bool:
        """Whether the problem defines ``mutate``."""
        return type(self).mutate is not OptionalMethods.mutate

    def network(self, config: Configuration) -> tuple[Any, Any]:
        """Return the untrained torch module of a configuration, and its example input or a tuple of inputs.

        Optional: ``evo-moo latency`` measures it. The first axis of every input is the batch.

        Raises:
            ProblemError: The problem does not define it.
        """
        raise ProblemError(
            f"`{type(self).__name__}` must define `network(self, config)`, which gives a module and its example input, "
            "to be measured, but does not"
        )

    @property
    def has_network(self) -> bool:
        """Whether the problem defines ``network``."""
        return type(self).network is not OptionalMethods.network

    @property
    def is_profiled(self) -> bool:
        """Whether anything is known of a configuration before it is evaluated."""
        profiles = (type(self).profile, type(self).compute) != (OptionalMethods.profile, OptionalMethods.compute)
        return profiles or self.has_network

    def worth_exploring(self, facts: Sequence[Mapping[str, Any]]) -> list[Configuration]:
        """Return values to be given to further evaluations, since they may show something new of the space.

        Only of a problem that is not ``is_explored``; so are the others.

        Args:
            facts: What evaluations returned beside numbers.
        """
        raise NotImplementedError

    def explored_by(self, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what evaluations showed of the space, as plain data.

        Raises:
            SpaceError: They do not agree on a space.
        """
        raise NotImplementedError

    def explored_as(self, explored: dict[str, Any]) -> Any:
        """Return the problem with what ``explored_by`` returned."""
        raise NotImplementedError

    def shown_configuration(self, facts: Mapping[str, Any]) -> Configuration:
        """Return the configuration that an evaluation had, of the facts that it returned."""
        raise NotImplementedError

    @property
    def doubts(self) -> Sequence[str]:
        """What evaluations could not show of the space, a sentence each."""
        return ()
