"""``train_classifier`` against a training loop written by hand that does the same: the price of the extras.

Both train the same network from the same weights in the same order, one after the other; the ratio is the median of
those of several rounds, of CPU time, which other processes disturb least. At most 1.1 is what
``evo_moo.toolkit.training`` promises.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from evo_moo.threads import one_thread
from evo_moo.toolkit.datasets import find_images
from evo_moo.toolkit.training import set_determinism, train_classifier

EPOCHS, LR, ROUNDS = 5, 0.01, 15
Data = tuple[Tensor, Tensor]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def cnn() -> nn.Module:
    blocks = [
        layer
        for n_in, n_out in ((1, 16), (16, 32))
        for layer in (nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2))
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(128, 10))


def by_hand(model: nn.Module, train: Data, validation: Data, batch_size: int) -> float:
    """The loop as one would write it; gives the validation loss."""
    (X, y), (X_validation, y_validation) = train, validation
    n_steps = EPOCHS * -(-len(y) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        model.train()
        for batch in torch.randperm(len(y), generator=generator).split(batch_size):
            loss = cross_entropy(model(X[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            logits = model(X_validation)
            loss = cross_entropy(logits, y_validation)
            _ = (logits.argmax(1) == y_validation).double().mean().item()
    return loss.item()


def ours(model: nn.Module, train: Data, validation: Data, batch_size: int) -> float:
    history = train_classifier(
        model, train, validation, epochs=EPOCHS, batch_size=batch_size, lr=LR, seed=0, optimizer="adamw"
    )
    return history.last.loss


def main() -> None:
    images = find_images().load()
    print(f"{len(images.train[1])} digits, {EPOCHS} epochs, medians of {ROUNDS} rounds, CPU time of one thread")
    with one_thread():
        for build in (mlp, cnn):
            for batch_size in (16, 64, 256):
                compare(build, images.train, images.validation, batch_size)


def compare(build: Callable[[], nn.Module], train: Data, validation: Data, batch_size: int) -> None:
    times_s: dict[str, list[float]] = {"by hand": [], "ours": []}
    losses = {}
    for _ in range(ROUNDS):
        for name, loop in (("by hand", by_hand), ("ours", ours)):
            set_determinism(0)
            model = build()
            start_s = time.process_time()
            losses[name] = loop(model, train, validation, batch_size)
            times_s[name].append(time.process_time() - start_s)
    hand_s, ours_s = (statistics.median(values) for values in times_s.values())
    ratio = statistics.median(b / a for a, b in zip(*times_s.values(), strict=True))
    print(
        f"{build.__name__} batches of {batch_size:3}: by hand {hand_s:.3f} s, ours {ours_s:.3f} s, ratio "
        f"{ratio:.2f}; validation loss {losses['by hand']:.4f} and {losses['ours']:.4f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
