"""How accurate a classifier stays when its inputs are disturbed: by noise, blur, light, dead sensors, or an attack.

Any problem takes it up in three lines:

    robustness = Robustness(["noise", "fgsm"])                     # in the class; bounds=None for a table
    metrics = {...} | robustness.metrics                           # accuracy_noise, accuracy_fgsm, accuracy_worst
    return {...} | robustness(network, *validation, seed=seed)     # at the end of evaluate
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evo_moo.problem.metrics import Metric
from evo_moo.seeding import seed_for
from evo_moo.toolkit.checks import require_at_least_one, require_some_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor, nn

    Array = npt.NDArray[np.number]

PERTURBATIONS = ("noise", "blur", "brightness", "dropout", "fgsm", "pgd")
_ATTACKS = ("fgsm", "pgd")


@dataclass(frozen=True)
class Robustness:
    """Perturbations and how strong they are, in units of the inputs.

    Noise, blur and brightness are those of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common
    Corruptions and Perturbations", ICLR 2019, on inputs from 0 to 1.

    Attributes:
        perturbations: Some of ``PERTURBATIONS``.
        epsilon: The most by which ``fgsm`` and ``pgd`` change any value.
        noise: Standard deviation of normal noise on every value.
        blur: Standard deviation of a Gaussian blur, in pixels; for images only.
        brightness: Added to all values of an image, or taken from them, as drawn for each image.
        dropout: Probability that a pixel (all its channels), or a column of a table's row, reads ``fill``.
        fill: What a dead sensor reads: black for images, the mean for standardised columns.
        pgd_steps: Number of steps of ``pgd``.
        bounds: Lowest and highest value of an input; None where there are none, as for standardised columns.
        n_samples: Disturbs the first so many samples only, since attacks take many passes; None for all.

    Raises:
        ValueError: There is no such perturbation, or a strength is out of range.
    """

    perturbations: Sequence[str] = PERTURBATIONS
    epsilon: float = 0.03
    noise: float = 0.1
    blur: float = 0.6
    brightness: float = 0.2
    dropout: float = 0.1
    fill: float = 0.0
    pgd_steps: int = 7
    bounds: tuple[float, float] | None = (0.0, 1.0)
    n_samples: int | None = None

    def __post_init__(self) -> None:
        require_some_of(PERTURBATIONS, perturbations=self.perturbations)
        for name in ("epsilon", "noise", "blur", "brightness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be above 0, but is {getattr(self, name)}; leave the perturbation out")
        if not 0 < self.dropout < 1:
            raise ValueError(f"`dropout` must lie between 0 and 1, but is {self.dropout}")
        require_at_least_one(pgd_steps=self.pgd_steps, n_samples=self.n_samples)

    @property
    def metrics(self) -> dict[str, Metric]:
        """What ``__call__`` gives, to be declared among a problem's metrics."""
        words = {name: f"under {name}" for name in self.perturbations}
        words |= {name: f"under {name.upper()} of at most {self.epsilon:g}" for name in _ATTACKS if name in words}
        words["worst"] = "under the worst of these"
        return {
            f"accuracy_{name}": Metric(description=f"share classified correctly {text}", noisy=True)
            for name, text in words.items()
        }

    def __call__(
        self,
        model: "nn.Module",
        X: "Tensor",
        y: "Tensor",
        *,
        seed: int,
        served: "Callable[[Tensor], Tensor] | None" = None,
    ) -> dict[str, float]:
        """Return the accuracy under each perturbation, and the lowest of them.

        Args:
            model: The network, giving ``(n, n_classes)`` logits; its training flags are as before afterwards.
            X: Images ``(n, channels, height, width)`` or rows ``(n, n_columns)``.
            y: Labels ``(n,)``.
            seed: Decides every random draw, of each perturbation by itself.
            served: Gives the logits of what is judged where the network is deployed in another form, such as int8;
                attacks follow the network's gradient all the same.

        Raises:
            ValueError: Blur or brightness is asked of what is no image.
        """
        from evo_moo.toolkit.training import judged_logits, predict

        X, y = X[: self.n_samples], y[: self.n_samples]

        def accuracy(name: str) -> float:
            disturbed = self.perturb(name, model, X, y, seed)
            logits = served(disturbed) if served else predict(model, disturbed)
            return judged_logits(logits, y.to(logits.device))[0]

        return self._with_worst(accuracy)

    def of_decisions(
        self, decide: "Callable[[Array], Array]", X: "Array", y: "Array", *, seed: int
    ) -> dict[str, float]:
        """Return the same for a classifier that is no network: it has no gradient, which attacks need.

        Args:
            decide: Gives labels ``(n,)`` of rows ``(n, n_columns)``, which keep their order.
            X: Rows.
            y: Labels ``(n,)``.
            seed: As for a call.

        Raises:
            ValueError: An attack is asked for, or blur or brightness of what is no image.
        """
        import torch

        rows, labels = torch.from_numpy(X), torch.from_numpy(y)
        return self._with_worst(
            lambda name: float((decide(self.perturb(name, None, rows, labels, seed).numpy()) == y).mean())
        )

    def perturb(self, name: str, model: "nn.Module | None", X: "Tensor", y: "Tensor", seed: int) -> "Tensor":
        """Return disturbed inputs of the same shape, within the bounds; arguments as for a call."""
        import torch

        if name in ("blur", "brightness") and X.ndim != 4:
            raise ValueError(
                f"`{name}` must be asked of images (n, channels, height, width), but the inputs have the shape "
                f"{tuple(X.shape)}; leave it out of `perturbations`"
            )
        draw = torch.Generator().manual_seed(seed_for(name, seed))
        if name == "noise":
            return self._bounded(X + self.noise * torch.randn(X.shape, generator=draw).to(X))
        if name == "blur":
            from scipy.ndimage import gaussian_filter

            blurred = gaussian_filter(X.cpu().numpy(), (0, 0, self.blur, self.blur), mode="nearest")
            return self._bounded(torch.from_numpy(blurred).to(X))
        if name == "brightness":
            sign = torch.randint(2, (len(X), 1, 1, 1), generator=draw).to(X) * 2 - 1
            return self._bounded(X + self.brightness * sign)
        if name == "dropout":
            sensors = (len(X), 1, *X.shape[2:]) if X.ndim == 4 else tuple(X.shape)
            dead = torch.rand(sensors, generator=draw).to(X.device) < self.dropout
            return X.masked_fill(dead, self.fill)
        if model is None:
            raise ValueError(f"`{name}` must attack a network, whose gradient it follows; leave it out")
        return self._bounded(_attacked(model, X, y, self, draw if name == "pgd" else None))

    def _bounded(self, X: "Tensor") -> "Tensor":
        return X if self.bounds is None else X.clamp(*self.bounds)

    def _with_worst(self, accuracy: Callable[[str], float]) -> dict[str, float]:
        accuracies = {f"accuracy_{name}": accuracy(name) for name in self.perturbations}
        return accuracies | {"accuracy_worst": min(accuracies.values())}


def _attacked(
    model: "nn.Module", X: "Tensor", y: "Tensor", limits: Robustness, draw: "torch.Generator | None"
) -> "Tensor":
    """Change inputs by at most epsilon so that the loss rises.

    Without ``draw`` one step of epsilon along the gradient's sign, the fast gradient sign method of Goodfellow et al.,
    "Explaining and Harnessing Adversarial Examples", ICLR 2015, section 4. With it projected gradient descent, Madry
    et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, section 2.1: from a random
    start, steps of 2.5 epsilon over their number, each followed by the projection onto what epsilon allows.
    """
    import torch

    from evo_moo.evaluation.slots import yield_to_measurements
    from evo_moo.toolkit.training import evaluation_mode

    epsilon = limits.epsilon
    n_steps, step = (limits.pgd_steps, 2.5 * epsilon / limits.pgd_steps) if draw else (1, epsilon)
    start = X + epsilon * (2 * torch.rand(X.shape, generator=draw).to(X) - 1) if draw else X
    changed = []
    with evaluation_mode(model):
        for inputs, now, labels in zip(*(torch.split(t, 256) for t in (X, start, y)), strict=True):
            for _ in range(n_steps):
                yield_to_measurements()
                now = limits._bounded(now).detach().requires_grad_()
                loss = torch.nn.functional.cross_entropy(model(now), labels, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, now)
                now = now.detach() + step * gradient.sign()
                now = inputs + (now - inputs).clamp(-epsilon, epsilon)
            changed.append(now.detach())
    return torch.cat(changed)
