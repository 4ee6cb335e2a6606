"""One network for a whole front of accuracy against fairness: conditioned on the preference between them (COSMOS)."""

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evo_moo.problem import Configuration, Metric, Point, SearchProblem, TrainedModel
from evo_moo.space import Choice, Integer, Real
from evo_moo.toolkit.checks import require_at_least_one, require_one_of
from evo_moo.toolkit.conditioned.tables import FILES, read_table
from evo_moo.toolkit.data_files import digest, find_data

if TYPE_CHECKING:
    from torch import Tensor

    from evo_moo.toolkit.conditioned.losses import Samples
    from evo_moo.toolkit.conditioned.model import ConditionedModel
    from evo_moo.toolkit.conditioned.networks import ConditionedNetwork

JUDGED = {
    "accuracy": "share classified correctly",
    "balanced_accuracy": "mean of the two classes' recalls",
    "equal_opportunity_difference": "difference of the groups' true positive rates",
    "demographic_parity_difference": "difference of the groups' shares predicted positive",
}
OBJECTIVES = {"eo_rate": "equal_opportunity_difference", "dp_rate": "demographic_parity_difference"}
WORST_GAP = 0.5
"""The hypervolume by which epochs are chosen reaches up to it, and to the error of the best constant decision."""


class CosmosFair(SearchProblem):
    """Architecture and training of an MLP that is told at each prediction how much accuracy counts against fairness.

    One training learns all trade-offs: ``preference`` is the weight of the cross-entropy, what is left that of the
    fairness loss. It is chosen after the training, and can be chosen anew for each prediction. The sensitive attribute
    is no feature, and decisions have one threshold, 1/2. Of 70 % of the rows a network is trained, by 10 % it is
    judged, 20 % are for the final report; of the demonstration half, a quarter and a quarter.

    Args:
        data: ``"demo"``, a demonstration and no study of fairness: scikit-learn's 442 diabetes patients. ``"adult"``,
            ``"compas"`` or ``"credit"``: ``NAME.csv.gz`` in the folder EVO_MOO_DATA, or at ``path``; the groups are
            women and others. ``"compas_leak"`` has the column ``is_recid`` too, nearly the label: for published
            figures only.
        path: File of one of the named tables.
        fairness: The loss beside cross-entropy, and with it the second objective: ``"eo_rate"``, true positive rates,
            or ``"dp_rate"``, rates of positive predictions.
        n_rays: Number of preferences under which a network is judged; each is a candidate for the front.

    Raises:
        ValueError: An option is wrong.
        ProblemError: The file or a column is missing.
    """

    post_training = {"preference": Real(0.0, 1.0)}
    architecture = ["width_1", "width_2"]
    metrics = {
        **{name: Metric(description=f"{words}; validation data", noisy=True) for name, words in JUDGED.items()},
        **{
            f"test_{name}": Metric(description=f"{name}, test data", noisy=True, held_out=True, test_of=name)
            for name in JUDGED
        },
        "n_params": Metric(description="trainable parameters", log=True, cheap=True),
        "preference_effect": Metric(
            description="most that any logit depends on the preference; near 0 it is not heard"
        ),
    }

    def __init__(
        self, data: str = "demo", path: str | None = None, fairness: str = "eo_rate", n_rays: int = 25
    ) -> None:
        require_one_of(("demo", *FILES), data=data)
        require_one_of(OBJECTIVES, fairness=fairness)
        require_at_least_one(n_rays=n_rays)
        self.source, self.path, self.fairness, self.n_rays = data, path, fairness, n_rays
        self.table = read_table(data, path)
        file = find_data(FILES[data], path) if data in FILES else None
        self.version = digest(file) if file else data
        self.objectives = {"accuracy": "max", OBJECTIVES[fairness]: "min"}
        batches = [8, 16, 32] if data == "demo" else [256, 512, 1024]
        self.variables = {
            "width_1": Integer(8, 128, log=True),
            "width_2": Integer(4, 64, log=True),
            "epochs": Integer(5, 50, log=True),
            "batch_size": Choice(batches, ordered=True),
            "lr": Real(3e-4, 1e-2, log=True),
            "penalty": Real(1e-3, 1.0, log=True),
            "alpha_accuracy": Real(0.1, 2.0, log=True),
            "alpha_fairness": Real(0.1, 2.0, log=True),
            "sharpness": Real(1.0, 8.0, log=True),
        }

    def compute(self, config: Configuration) -> dict[str, float]:
        """Count the trainable parameters, of which two columns are for the preference."""
        sizes = [self.table.X.shape[1] + 2, config["width_1"], config["width_2"], 1]
        return {"n_params": sum((n + 1) * m for n, m in pairwise(sizes))}

    def evaluate(self, config: Configuration, *, seed: int) -> list[Point]:
        """Train once, and return a point for each preference."""
        model = self.train(config, seed=seed)
        return [Point({"preference": float(ray[0])}, m) for ray, m in zip(model.rays, model.metrics, strict=True)]

    def model(self, config: Configuration, *, seed: int) -> TrainedModel:
        """Train the network of a configuration, and give it as it answers under the chosen preference."""
        from torch import nn

        at, test = self.train(config, seed=seed).at(config["preference"]), self.parts["test"]
        return TrainedModel(
            nn.Sequential(at.network, nn.Sigmoid(), nn.Flatten(0)),
            self.parts["validation"].X[:64],
            outputs="score",
            test=(test.X, test.y),
            groups=test.group,
            inputs="Rows encoded as `evo_moo.toolkit.conditioned.tables` says; the group is no feature.",
            data={"data": self.source} | {part: f"{len(samples.y):,} rows" for part, samples in self.parts.items()},
        )

    def train(self, config: Configuration, *, seed: int) -> "ConditionedModel":
        """Train the network of a configuration on one thread; ``at(preference)`` of what it returns turns the knob."""
        from evo_moo.toolkit.conditioned import losses
        from evo_moo.toolkit.conditioned.model import ConditionedModel
        from evo_moo.toolkit.conditioned.preferences import rays
        from evo_moo.toolkit.conditioned.training import Judge, Settings, metrics_along, train_conditioned

        ray_set = rays(2, self.n_rays)
        unfairness = {"eo_rate": losses.eo_rate, "dp_rate": losses.dp_rate}[self.fairness]
        trained = train_conditioned(
            lambda: self.network(config)[0],
            self.parts["train"],
            [losses.bce, partial(unfairness, sharpness=config["sharpness"])],
            Settings(
                **{name: config[name] for name in ("epochs", "batch_size", "lr", "penalty")},
                alpha=(config["alpha_accuracy"], config["alpha_fairness"]),
            ),
            seed=seed,
            judge=Judge(self.parts["validation"], self.volume),
            ray_set=ray_set,
        )
        return ConditionedModel(trained.network, ray_set, metrics_along(trained, self.parts, ray_set, judged))

    def network(self, config: Configuration) -> "tuple[ConditionedNetwork, tuple[Tensor, Tensor]]":
        """Build the untrained network, and a row and a preference to measure latencies with."""
        import torch

        from evo_moo.toolkit.conditioned.networks import ConditionedMLP

        n_features = self.table.X.shape[1]
        network = ConditionedMLP(n_features, 2, (config["width_1"], config["width_2"]))
        return network, (torch.ones(1, n_features), torch.tensor([0.5, 0.5]))

    def volume(self, logits: "Tensor", samples: "Samples") -> float:
        """Return the hypervolume of error and unfairness along the rays."""
        from evo_moo.toolkit.conditioned import scores

        gap = {"eo_rate": scores.eo_gap, "dp_rate": scores.dp_gap}[self.fairness]
        positive = samples.y.double().mean().item()
        front = scores.front_of(logits, samples, [scores.error, gap])
        return scores.tight_volume(front, (min(positive, 1 - positive), WORST_GAP))

    @cached_property
    def parts(self) -> dict[str, "Samples"]:
        """The table's rows by the name of their part, standardised by the training rows."""
        return self.table.parts(stratified=self.source == "demo")


def judged(logits: "Tensor", samples: "Samples") -> dict[str, Sequence[float]]:
    """Return the metrics of ``JUDGED``, each a value for each ray, of logits ``(n_rays, n)``."""
    from evo_moo.toolkit.conditioned import scores

    found: dict[str, Any] = {
        "accuracy": 1 - scores.error(logits, samples),
        "balanced_accuracy": scores.balanced_accuracy(logits, samples),
        "equal_opportunity_difference": scores.eo_gap(logits, samples),
        "demographic_parity_difference": scores.dp_gap(logits, samples),
    }
    return {name: values.tolist() for name, values in found.items()}
