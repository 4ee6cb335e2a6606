"""What a problem may define beside ``evaluate``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from evo_moo.errors import ProblemError

Configuration = dict[str, Any]
Outputs = Literal["logits", "probabilities", "score", "values"]


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, as a problem gives it to be kept: what computes, what it takes, and what it was measured with.

    Attributes:
        model: A torch module, or a fitted estimator of scikit-learn's; None where ``files`` are all that there is.
        example: Some inputs as the model takes them, ``(n, ...)``, such as the first rows of the validation data.
        outputs: What it gives: ``"logits"`` or ``"probabilities"`` of classes, ``(n, n_classes)``; the ``"score"`` of
            the positive class, ``(n,)``; or ``"values"``, ``(n, ...)``, where nothing is classified.
        test: Inputs and labels ``(n,)`` that neither the training nor the search has seen; None where there are none.
        groups: The group of each of the test labels, ``(n,)``, where thresholds or fairness ask for it.
        thresholds: From which score on a sample counts as positive, in each group or, as ``""``, in all.
        metrics: What the training measured, such as its validation accuracy.
        onnx: The model as a file of ONNX already, such as one of another precision; by default one is exported.
        files: Further files to be kept, by their names.
        preprocessing: A fitted transformer of scikit-learn's that makes inputs from raw rows; None where there is none.
        inputs: How inputs are made from raw data, in words.
        classes: Names of the classes, in the order of the outputs.
        data: What it learnt from, in words: name, licence, numbers of samples.
    """

    model: Any = None
    example: Any = None
    outputs: Outputs = "logits"
    test: tuple[Any, Any] | None = None
    groups: Any = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    onnx: bytes | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    preprocessing: Any = None
    inputs: str = ""
    classes: Sequence[Any] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


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

    def model(self, config: Configuration, *, seed: int) -> TrainedModel:
        """Train a configuration, with its choices where there are some, and return the model to be kept.

        Optional: ``evo-moo build`` calls it. With the seed of an evaluation it is the very model of that evaluation. It
        may name further keyword arguments: ``workspace``, a folder, and ``all_data``, whether to train with the
        validation data too, though never with the test data.

        Args:
            config: The configuration, and the choices.
            seed: Decides every random choice.

        Raises:
            ProblemError: The problem does not define it.
        """
        raise ProblemError(
            f"`{type(self).__name__}` must define `model(self, config, *, seed)`, which gives the trained model, to be "
            "built, but does not"
        )

    @property
    def has_model(self) -> bool:
        """Whether the problem defines ``model``."""
        return type(self).model is not OptionalMethods.model

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
