"""The card of a trained model as data: what was searched, what was chosen, and what the model promises."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from evo_moo.errors import ModelFolderError
from evo_moo.problem.optional_methods import Outputs


class Part(BaseModel):
    """What all parts of a card have in common: nothing else than their keys, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Promise(Part):
    """What a model promises of one metric.

    Attributes:
        value: The measured value.
        low: Lower end of its interval of 95 %; the value itself where it is exact.
        high: Upper end.
        unit: Such as ``"ms"``.
        direction: ``"max"`` where more is better, ``"min"`` where less is.
        of: What it was measured with, in words.
    """

    value: float
    low: float
    high: float
    direction: Literal["min", "max"]
    unit: str = ""
    of: str = ""

    @property
    def words(self) -> str:
        """The value with its interval and unit."""
        interval = "" if self.low == self.high else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.value:.4g}{interval}{f' {self.unit}' if self.unit else ''}"


class Input(Part):
    """What the model takes.

    Attributes:
        shape: Sizes of all axes but the first, which is the batch.
        dtype: Such as ``"float32"``.
        words: How inputs are made from raw data.
    """

    shape: tuple[int, ...]
    dtype: str
    words: str = ""


class Member(Part):
    """A member of the front that was searched.

    Attributes:
        id: Its id in the run.
        values: Objectives to values.
        is_chosen: Whether it is the model of the card.
    """

    id: str
    values: dict[str, float]
    is_chosen: bool = False


class Search(Part):
    """What was searched, and why this model was chosen.

    Attributes:
        run: Name of the run.
        problem: Reference of the problem.
        options: Its options.
        version: Version of the problem.
        n_evaluations: Number of evaluations.
        objectives: Metrics to ``"min"`` or ``"max"``.
        limits: Limits in words.
        policies: Objectives and limits to why they are so, and who answers for them.
        front: The front, sorted by the first objective.
        rule: The rule of the choice, in words.
        why: Why it chose this one.
        given_up: Objectives to what is given up against the best of the run.
        recorded: Metrics of the evaluation in the run.
        confirmed: Metrics to mean and standard deviation over new seeds, where the run was confirmed.
        n_confirmed: Number of those seeds.
    """

    run: str
    problem: str
    options: dict[str, Any] = {}
    version: str | None = None
    n_evaluations: int
    objectives: dict[str, str]
    limits: list[str] = []
    policies: dict[str, str] = {}
    front: list[Member] = []
    rule: str = ""
    why: str = ""
    given_up: dict[str, float] = {}
    recorded: dict[str, float] = {}
    confirmed: dict[str, tuple[float, float]] = {}
    n_confirmed: int = 0


class Training(Part):
    """How the model was trained.

    Attributes:
        seed: The seed.
        n_seeds: Number of trainings, of which the best by validation data was kept.
        all_data: Whether the validation data were trained with too.
        is_reproduced: Whether it measured what the search had recorded; None where it was another training.
        metrics: What it measured.
        spread: Metrics to the standard deviation over the trainings, of several.
        data: What it learnt from, in words.
    """

    seed: int
    n_seeds: int = 1
    all_data: bool = False
    is_reproduced: bool | None = None
    metrics: dict[str, float] = {}
    spread: dict[str, float] = {}
    data: dict[str, Any] = {}


class ModelCard(Part):
    """All that is known of a trained model.

    Attributes:
        format: Number of the form of the card.
        name: Run and evaluation.
        built_at: Time in UTC.
        evo_moo: Version of evo-moo.
        configuration: The configuration, with its choices.
        input: What it takes; None of files alone.
        outputs: What it gives; see ``TrainedModel``.
        classes: Names of the classes.
        thresholds: From which score on a sample counts as positive, in each group or, as ``""``, in all.
        batch_size: Number of samples of a call whose time was measured.
        promises: Metrics of quality to promises, whatever runs the model.
        serving: Runtimes, the first by default, to promises of time, memory and size.
        tolerance: Largest difference of outputs between runtimes, by the largest output.
        left_out: Files that could not be made, with the reason.
        search: What was searched.
        training: How it was trained.
        machine: Where it was measured.
        reproduce: The command that builds it again.
    """

    format: Literal[1] = 1
    name: str
    built_at: str
    evo_moo: str
    configuration: dict[str, Any]
    input: Input | None
    outputs: Outputs
    classes: list[str] = []
    thresholds: dict[str, float] = {}
    batch_size: int = 1
    promises: dict[str, Promise]
    serving: dict[str, dict[str, Promise]]
    tolerance: float
    left_out: dict[str, str] = {}
    search: Search
    training: Training
    machine: dict[str, Any]
    reproduce: str

    @classmethod
    def of_json(cls, text: str | bytes, name: str) -> Self:
        """Read a card, which may come from anybody.

        Raises:
            ModelFolderError: It is none; all faults are listed.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            faults = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors(include_url=False)]
            lines = (f"`{name}` must be a model card, but {place or 'the file'}: {words}" for place, words in faults)
            raise ModelFolderError("\n".join(lines)) from None


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return values with the six digits that a reader compares."""
    return {name: float(f"{value:.6g}") for name, value in values.items()}
