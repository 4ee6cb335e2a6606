"""One short training of a classifier on data held as tensors: seeded, quick, honest about divergence."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from evo_moo.evaluation.slots import yield_to_measurements
from evo_moo.problem.weights import Weights
from evo_moo.threads import one_thread
from evo_moo.toolkit.checks import require_at_least_one, require_one_of
from evo_moo.toolkit.training_state import Training

Data = tuple[Tensor, Tensor]

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}
SCHEDULES = ("constant", "cosine", "one_cycle")


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        number: Number of the epoch, from 1.
        train_loss: Mean cross-entropy over the epoch's samples while they were trained on.
        loss: Mean cross-entropy on the validation data after the epoch; NaN once training diverged.
        accuracy: Share of the validation data classified correctly; NaN once training diverged.
        train_s: Time since the training began, in seconds.
    """

    number: int
    train_loss: float
    loss: float
    accuracy: float
    train_s: float


@dataclass(frozen=True)
class History:
    """A training, epoch by epoch.

    Attributes:
        epochs: One entry per epoch; fewer than asked for where the training diverged or was stopped early.
    """

    epochs: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch of the lowest validation loss: whose weights are kept where training may stop early."""
        return min(self.epochs, key=lambda epoch: epoch.loss if math.isfinite(epoch.loss) else math.inf)

    @property
    def last(self) -> Epoch:
        """The last epoch: what the trained weights are worth, unless ``patience`` brought the best ones back."""
        return self.epochs[-1]


def train_classifier(
    model: nn.Module,
    train: Data,
    validation: Data,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    optimizer: str = "adamw",
    weight_decay: float = 0.0,
    schedule: str = "cosine",
    label_smoothing: float = 0.0,
    augment: Callable[[Tensor], Tensor] | None = None,
    distil: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    patience: int | None = None,
    report: Callable[[int, Mapping[str, float]], object] | None = None,
    until: int | None = None,
    weights: Weights | None = None,
) -> History:
    """Train a classifier in place by cross-entropy; stops after an epoch whose loss is not finite.

    Weights and dropout draw from torch's global generator: call ``set_determinism`` before building a model. On a
    GPU that computes with bfloat16 itself, training does so where that is safe (``torch.autocast``).

    Args:
        model: The network, giving ``(n, n_classes)`` logits.
        train: Inputs ``(n, ...)`` and labels ``(n,)``, on the model's device.
        validation: Inputs and labels that each epoch is judged by.
        epochs: Number of passes over the training data, at least 1.
        batch_size: Samples per step, at least 1; a single sample left over joins the batch before it.
        lr: The highest learning rate.
        seed: Seed of the order of the samples.
        optimizer: ``"adam"``, ``"adamw"``, or ``"sgd"`` with Nesterov's momentum 0.9.
        weight_decay: Weight decay, as the optimizer understands it.
        schedule: ``"constant"``, ``"cosine"`` or ``"one_cycle"``; see ``lr_factor``.
        label_smoothing: Share of the target that is spread over all classes, in training only: equation 7 of
            Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016.
        augment: Changes each batch of training inputs, such as an ``Augmentation``.
        distil: Makes the training's loss of the cross-entropy, the logits and the inputs, as a ``Distillation`` does.
        patience: Stops after so many epochs without a lower validation loss, and brings back the weights of the
            lowest; None trains all epochs and keeps the last weights.
        report: Called with the number, and ``accuracy`` and ``loss`` on the validation data, of each epoch whose
            numbers are finite: what ``evaluate`` gets by that keyword, which may end the training.
        until: Number of epochs after which to stop, by default ``epochs``. The schedule is that of ``epochs``, so that
            a training which goes on from here is the one that would not have stopped.
        weights: What the training goes on from, and where it saves its state at the end.

    Returns:
        The reports of all epochs that were trained here.

    Raises:
        ValueError: ``epochs``, ``batch_size`` or ``patience`` is below 1, ``until`` is not from what is done to
            ``epochs``, or an optimizer or schedule is unknown.
    """
    require_at_least_one(epochs=epochs, batch_size=batch_size, patience=patience)
    require_one_of(SCHEDULES, schedule=schedule)
    require_one_of(OPTIMIZERS, optimizer=optimizer)
    # Fused: one call per step instead of several per tensor, which small networks feel.
    steps = OPTIMIZERS[optimizer](list(model.parameters()), lr=lr, weight_decay=weight_decay, fused=True)
    generator = torch.Generator().manual_seed(seed)
    n_batches = len(_batches(torch.arange(len(train[1])), batch_size))
    factors = [lr_factor(schedule, step / (epochs * n_batches)) for step in range(epochs * n_batches)]
    reports: list[Epoch] = []
    kept: dict[str, Tensor] = {}
    weights = weights or Weights()
    training = Training(model, steps, generator)

    def loss_of(inputs: Tensor, labels: Tensor) -> Tensor:
        logits = model(inputs)
        by_labels = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return by_labels if distil is None else distil(by_labels, logits, inputs)

    n_done, before_s = training.restore(weights)
    if not n_done < (until or epochs) <= epochs:
        raise ValueError(f"`until` must be from {n_done + 1} to `epochs`, {epochs}, but is {until or epochs}")
    start_s = perf_counter() - before_s
    for number in range(n_done + 1, (until or epochs) + 1):
        order = torch.randperm(len(train[1]), generator=generator).to(train[1].device)
        rates = [lr * factor for factor in factors[(number - 1) * n_batches : number * n_batches]]
        model.train()
        train_loss = _train_epoch(loss_of, train, _batches(order, batch_size), steps, rates, augment)
        finite = math.isfinite(train_loss)
        accuracy, loss = accuracy_and_loss(model, *validation) if finite else (math.nan, math.nan)
        reports.append(Epoch(number, train_loss, loss, accuracy, perf_counter() - start_s))
        if report is not None and math.isfinite(loss):
            report(number, {"accuracy": accuracy, "loss": loss})
        best = History(tuple(reports)).best.number
        if patience is not None and best == number:
            kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if not finite or (patience is not None and number - best >= patience):
            break
    else:
        training.save(weights, reports[-1].number, reports[-1].train_s)
    if kept:
        model.load_state_dict(kept)
    return History(tuple(reports))


def train_and_test(
    build: Callable[[], nn.Module], train: Data, validation: Data, test: Data, *, seed: int, **settings: Any
) -> tuple[nn.Module, dict[str, float]]:
    """Build and train a network on one thread, from the weights that the seed decides.

    Args:
        build: Builds the untrained network.
        train: As in ``train_classifier``, like ``validation``, ``seed`` and all ``settings``.
        validation: What each epoch is judged by.
        test: Inputs and labels that the trained network is judged by.
        seed: Seed of the first weights too.
        settings: All other settings.

    Returns:
        The trained network, and its ``accuracy``, ``loss``, ``train_s`` and ``test_accuracy``.
    """
    with one_thread():
        set_determinism(seed)
        model = build()
        history = train_classifier(model, train, validation, seed=seed, **settings)
        epoch = history.best if settings.get("patience") else history.last
        judged = {"accuracy": epoch.accuracy, "loss": epoch.loss, "train_s": history.last.train_s}
        return model, judged | {"test_accuracy": accuracy_and_loss(model, *test)[0]}


def with_all_data(parts: Mapping[str, Data]) -> dict[str, Data]:
    """Return parts of data whose training part has the validation samples too; the test part stays as it is.

    The validation part stays too, so that a training is reported as before, though no longer judged by it.
    """
    (X, y), (X_more, y_more) = parts["train"], parts["validation"]
    return {**parts, "train": (torch.cat([X, X_more]), torch.cat([y, y_more]))}


def predict(model: nn.Module, X: Tensor, batch_size: int = 1024) -> Tensor:
    """Return a model's outputs for inputs ``(n, ...)`` in evaluation mode, such as logits ``(n, n_classes)``."""
    outputs = []
    with inference(model):
        for inputs in torch.split(X, batch_size):
            yield_to_measurements()
            outputs.append(model(inputs))
    return torch.cat(outputs)


def accuracy_and_loss(model: nn.Module, X: Tensor, y: Tensor, batch_size: int = 1024) -> tuple[float, float]:
    """Judge a classifier in evaluation mode.

    Args:
        model: The network, giving ``(n, n_classes)`` logits; its training flags are as before afterwards.
        X: Inputs ``(n, ...)``.
        y: Labels ``(n,)``.
        batch_size: Samples per forward pass.

    Returns:
        The share classified correctly and the mean cross-entropy.
    """
    return judged_logits(predict(model, X, batch_size), y, batch_size)


def judged_logits(logits: Tensor, y: Tensor, batch_size: int = 1024) -> tuple[float, float]:
    """Judge logits ``(n, n_classes)`` by labels ``(n,)``; the result is as for ``accuracy_and_loss``."""
    batches = zip(logits.split(batch_size), y.split(batch_size), strict=True)
    loss = sum(cross_entropy(*batch, reduction="sum").item() for batch in batches)
    return (logits.argmax(1) == y).sum().item() / len(y), loss / len(y)


def set_determinism(seed: int) -> None:
    """Seed torch and choose cuDNN's reproducible kernels; on one CPU thread, same seed, same weights."""
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def lr_factor(schedule: str, progress: float) -> float:
    """Return the learning rate of a step as a share of the highest.

    ``"cosine"`` is equation 5 of Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts. ``"one_cycle"``
    rises linearly from 1/25 over the first 0.3 and then falls as a cosine, after Smith and Topin,
    "Super-convergence", 2018.

    Args:
        schedule: ``"constant"``, ``"cosine"`` or ``"one_cycle"``.
        progress: Share of all steps that is done, in ``[0, 1)``.

    Returns:
        A factor in ``(0, 1]``.
    """
    if schedule == "constant":
        return 1.0
    rise = 0.3 if schedule == "one_cycle" else 0.0
    if progress < rise:
        return 0.04 + 0.96 * progress / rise
    return 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode without gradients; every module's training flag is restored."""
    with evaluation_mode(model), torch.inference_mode():
        yield


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; every module's training flag is restored."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


def _train_epoch(
    loss_of: Callable[[Tensor, Tensor], Tensor],
    train: Data,
    batches: list[Tensor],
    optimizer: torch.optim.Optimizer,
    rates: list[float],
    augment: Callable[[Tensor], Tensor] | None,
) -> float:
    X, y = train
    # Where a GPU computes with bfloat16 itself; unlike float16 it needs no scaling of gradients.
    bfloat16 = y.is_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
    precision = torch.autocast("cuda", torch.bfloat16) if bfloat16 else nullcontext()
    total = torch.zeros((), device=y.device)
    for batch, rate in zip(batches, rates, strict=True):
        yield_to_measurements()
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs = X[batch] if augment is None else augment(X[batch])
        with precision:
            loss = loss_of(inputs, y[batch])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        total.add_(loss.detach(), alpha=len(batch))
    return total.item() / len(y)


def _batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut an order into batches; none of one sample, which BatchNorm cannot normalise."""
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
        batches[-2:] = [order[-1 - batch_size :]]
    return batches
