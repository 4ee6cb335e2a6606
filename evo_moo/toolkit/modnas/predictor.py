"""A predictor of what a training yields, fitted on few labelled architectures; differentiable in soft one-hots."""

import numpy.typing as npt
import torch
from torch import Tensor, nn

from evo_moo.errors import MetricError
from evo_moo.seeding import seed_for
from evo_moo.threads import one_thread
from evo_moo.toolkit.checks import require_at_least_one

WIDTH, BATCH, LR, WEIGHT_DECAY = 128, 64, 1e-3, 1e-4


class Ensemble(nn.Module):
    """The mean of several networks; a loss of ``evo_moo.toolkit.modnas.losses`` that is the same on every device.

    Args:
        members: Networks that take ``(n, n_columns)`` one-hots, and return ``(n, 1)`` standardised values.
        mean: What is added to the values times ``scale``.
        scale: Unit of the values.
    """

    def __init__(self, members: list[nn.Module], mean: float, scale: float) -> None:
        super().__init__()
        self.members, self.mean, self.scale = nn.ModuleList(members), mean, scale

    def forward(self, one_hots: Tensor, features: Tensor | None = None) -> Tensor:
        """Return predicted values ``(n,)``."""
        return self.mean + self.scale * torch.cat([member(one_hots) for member in self.members], dim=1).mean(dim=1)


def fit_ensemble(
    one_hots: Tensor, values: npt.ArrayLike, *, seed: int, n_members: int = 3, steps: int = 600
) -> Ensemble:
    """Fit networks of two hidden layers by squared error; some hundred labels are enough to rank architectures.

    Args:
        one_hots: ``(n, n_columns)`` architectures.
        values: ``(n,)`` labels, such as logarithms of validation errors: the errors of poor architectures would
            otherwise count most.
        seed: Seed of first weights and batches.
        n_members: Number of networks.
        steps: Steps of Adam for each, by batches of 64.

    Returns:
        The frozen ensemble.

    Raises:
        MetricError: There is not one finite label for each architecture, or no architecture.
    """
    require_at_least_one(n_members=n_members, steps=steps)
    labels = torch.as_tensor(values, dtype=torch.float32)
    if labels.shape != (len(one_hots),) or len(labels) == 0 or not labels.isfinite().all():
        raise MetricError(
            f"a predictor needs one finite label for each architecture, at least one, but of {len(one_hots)} "
            f"architectures it has labels of shape {tuple(labels.shape)}, {int(labels.isfinite().sum())} finite"
        )
    mean, scale = labels.mean(), labels.std(unbiased=False).clamp(min=1e-12)
    targets, generator = (labels - mean) / scale, torch.Generator().manual_seed(seed_for("ensemble batches", seed))
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("ensemble", seed))
        members = [_member(one_hots.shape[1]) for _ in range(n_members)]
        for member in members:
            optimizer = torch.optim.Adam(member.parameters(), LR, weight_decay=WEIGHT_DECAY)
            for _ in range(steps):
                rows = torch.randint(len(labels), (BATCH,), generator=generator)
                optimizer.zero_grad()
                nn.functional.mse_loss(member(one_hots[rows])[:, 0], targets[rows]).backward()
                optimizer.step()
    return Ensemble(members, float(mean), float(scale)).requires_grad_(False)


def _member(n_columns: int) -> nn.Module:
    first, second = nn.Linear(n_columns, WIDTH), nn.Linear(WIDTH, WIDTH)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(WIDTH, 1))
