"""Two digits on one canvas, read by one network that is told which of them counts how much (COSMOS)."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from evo_moo.errors import ProblemError
from evo_moo.problem import Configuration, Metric, Point, SearchProblem, TrainedModel
from evo_moo.space import Choice, Integer, Real
from evo_moo.toolkit.checks import require_at_least_one
from evo_moo.toolkit.datasets import find_images

if TYPE_CHECKING:
    from torch import Tensor

    from evo_moo.toolkit.conditioned.losses import Samples
    from evo_moo.toolkit.conditioned.model import ConditionedModel
    from evo_moo.toolkit.conditioned.networks import ConditionedNetwork

PLACES = ("top_left", "bottom_right")
LARGE = 28
"""From this size of a canvas on, kernels are those of the publication: 5 x 5 without padding, else 3 x 3 with."""


class CosmosDigits(SearchProblem):
    """Architecture and training of a network that reads two overlapping digits, conditioned on a preference.

    One training learns all trade-offs between the two: ``preference`` is the weight of the digit at the top left, what
    is left that of the digit at the bottom right. It is chosen after the training. Digits are drawn into pairs of
    different classes; those of training, validation and test pairs are never the same.

    Args:
        data: ``"digits"``, scikit-learn's of 8 x 8 pixels on canvases of 12 x 12; ``"mnist"`` or
            ``"fashion_mnist"``, on 36 x 36; or an ``.npz`` file of square images of one channel, looked up in
            EVO_MOO_DATA too; see ``evo_moo.toolkit.datasets.find_images``.
        root: Folder of the files; by default ``EVO_MOO_DATA``.
        download: Whether torchvision may fetch what is missing.
        n_pairs: Number of training pairs; a quarter of it judges, and as many are for the final report.
        n_rays: Number of preferences under which a network is judged; each is a candidate for the front.

    Raises:
        ValueError: An option is wrong.
        ProblemError: The images are missing, or have not one channel and one side.
    """

    variables = {
        "conditioning": Choice(["film", "tconv"]),
        "channels_1": Integer(4, 16, log=True),
        "channels_2": Integer(8, 32, log=True),
        "units": Integer(16, 100, log=True),
        "epochs": Integer(5, 30, log=True),
        "batch_size": Choice([64, 128, 256], ordered=True),
        "lr": Real(3e-4, 1e-2, log=True),
        "penalty": Real(1e-2, 8.0, log=True),
        "alpha": Real(0.3, 3.0, log=True),
    }
    post_training = {"preference": Real(0.0, 1.0)}
    architecture = ["conditioning", "channels_1", "channels_2", "units"]
    objectives = {f"accuracy_{place}": "max" for place in PLACES}
    metrics = {
        **{
            f"accuracy_{place}": Metric(description="share of these digits read correctly; validation data", noisy=True)
            for place in PLACES
        },
        **{
            f"test_accuracy_{place}": Metric(
                description="the same, test data", noisy=True, held_out=True, test_of=f"accuracy_{place}"
            )
            for place in PLACES
        },
        "preference_effect": Metric(
            description="most that any logit depends on the preference; near 0 it is not heard"
        ),
    }

    def __init__(
        self,
        data: str = "digits",
        root: str | None = None,
        download: bool = False,
        n_pairs: int = 4000,
        n_rays: int = 25,
    ) -> None:
        require_at_least_one(n_pairs=n_pairs, n_rays=n_rays)
        self.images = find_images(data, root=root, download=download)
        self.version = self.images.version
        self.n_pairs, self.n_rays = n_pairs, n_rays

    def evaluate(self, config: Configuration, *, seed: int) -> list[Point]:
        """Train once, and return a point for each preference."""
        model = self.train(config, seed=seed)
        return [Point({"preference": float(ray[0])}, m) for ray, m in zip(model.rays, model.metrics, strict=True)]

    def model(self, config: Configuration, *, seed: int) -> TrainedModel:
        """Train the network of a configuration, and give it as it answers under the chosen preference."""
        return TrainedModel(
            self.train(config, seed=seed).at(config["preference"]).network,
            self.parts["validation"].X[:64],
            outputs="values",
            inputs="Canvases of two digits; the outputs are the logits of the first and of the second.",
            data={"data": self.images.data} | {part: f"{len(s.y):,} canvases" for part, s in self.parts.items()},
        )

    def train(self, config: Configuration, *, seed: int) -> "ConditionedModel":
        """Train the network of a configuration on one thread; ``at(preference)`` of what it returns turns the knob."""
        from evo_moo.toolkit.conditioned.losses import ce
        from evo_moo.toolkit.conditioned.model import ConditionedModel
        from evo_moo.toolkit.conditioned.preferences import rays
        from evo_moo.toolkit.conditioned.training import Judge, Settings, metrics_along, train_conditioned

        ray_set = rays(2, self.n_rays)
        trained = train_conditioned(
            lambda: self.network(config)[0],
            self.parts["train"],
            [partial(ce, head=0), partial(ce, head=1)],
            Settings(**{name: config[name] for name in ("epochs", "batch_size", "lr", "penalty", "alpha")}),
            seed=seed,
            judge=Judge(self.parts["validation"], volume),
            ray_set=ray_set,
        )
        return ConditionedModel(trained.network, ray_set, metrics_along(trained, self.parts, ray_set, judged))

    def network(self, config: Configuration) -> "tuple[ConditionedNetwork, tuple[Tensor, Tensor]]":
        """Build the untrained network, and a canvas and a preference to measure latencies with."""
        import torch

        from evo_moo.toolkit.conditioned.networks import ConditionedCNN

        size = self.parts["train"].X.shape[-1]
        kernel, padding = (5, 0) if size >= LARGE else (3, 1)
        channels = (config["channels_1"], config["channels_2"])
        n_classes = self.images.load().n_classes
        network = ConditionedCNN(
            size, 2, channels, config["units"], kernel, padding, 2, n_classes, config["conditioning"]
        )
        return network, (torch.ones(1, 1, size, size), torch.tensor([0.5, 0.5]))

    @cached_property
    def parts(self) -> dict[str, "Samples"]:
        """Canvases and labels by the name of their part; made once per process."""
        from evo_moo.toolkit.conditioned.canvases import two_on_a_canvas

        images = self.images.load()
        if images.shape[0] != 1 or images.shape[1] != images.shape[2]:
            raise ProblemError(f"`data` must be square images of one channel, but they are {images.shape}")
        n_judged = max(1, self.n_pairs // 4)
        pools = {"train": (*images.train, self.n_pairs), "validation": (*images.validation, n_judged)}
        pools["test"] = (*images.test, n_judged)
        return {name: two_on_a_canvas(*pool, seed) for seed, (name, pool) in enumerate(pools.items())}


def errors_along(logits: "Tensor", samples: "Samples") -> "Tensor":
    """Return the shares of digits read wrongly ``(n_rays, 2)``, of logits ``(n_rays, n, 2, n_classes)``."""
    return (logits.argmax(-1) != samples.y).double().mean(1)


def judged(logits: "Tensor", samples: "Samples") -> dict[str, Sequence[float]]:
    """Return the accuracy at each place, a value for each ray, of logits ``(n_rays, n, 2, n_classes)``."""
    errors = errors_along(logits, samples).tolist()
    return {f"accuracy_{place}": [1 - error[i] for error in errors] for i, place in enumerate(PLACES)}


def volume(logits: "Tensor", samples: "Samples") -> float:
    """Return the hypervolume of the errors along the rays, as a share of that up to guessing."""
    from evo_moo.toolkit.conditioned.scores import tight_volume

    guessed = 1 - 1 / logits.shape[-1]
    return tight_volume(errors_along(logits, samples).numpy(), (guessed, guessed))
