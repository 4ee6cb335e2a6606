"""Does early stopping keep its risk where the search drifts to slower and better trainings?

Simulated searches of 400 trainings of 20 epochs, in generations of 10, with a loss that falls exponentially and a size
that is known. ``drift`` is how the trainings change: not at all; slowly, or much, to slower and better ones; at once
after a third of the search; or half of them much, and the others to better ones alone. Of the trainings that would have
ended on the front of all completed ones, the share that was stopped must not exceed the risk.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evo_moo.optimizer.candidate import Candidate
from evo_moo.pareto import Array
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import Report, TrainingStopped
from evo_moo.run.early_stopping import EarlyStopping

DRIFTS = ("none", "slow", "strong", "abrupt", "mixed")
GOALS = Goals.declared({"loss": "min", "size": "min"}, {})
N_EPOCHS, GENERATION = 20, 10


class Stopped(NamedTuple):
    """What early stopping did to a search: trainings that reached the front or would have, and those lost of them."""

    reached_front: int
    lost: int
    stopped: float
    saved: float


def training(rng: np.random.Generator, progress: float, drift: str) -> tuple[float, Array]:
    """Draw the size and the losses of a training at a progress from 0 to 1 of a search."""
    if drift == "mixed":
        slower, better = (progress, 2 * progress) if rng.random() < 0.5 else (0.0, progress)
    else:
        late = progress >= 1 / 3
        slower, better = {
            "none": (0.3, 0.0),
            "slow": (progress / 2, progress),
            "strong": (progress, 2 * progress),
            "abrupt": (1.0 * late, 1.5 * late),
        }[drift]
    size = float(rng.integers(1, 9))
    pace = np.exp(rng.normal(np.log(2 + 10 * slower), 0.3))
    end = rng.normal(3 - 0.15 * size - better, 0.4)
    fall = np.exp(rng.normal(1, 0.3)) * (1 + slower)
    epochs = np.arange(1, N_EPOCHS + 1)
    noise = rng.normal(0, 0.02, N_EPOCHS) * (epochs < N_EPOCHS)
    return size, end + fall * (np.exp(-epochs / pace) - np.exp(-N_EPOCHS / pace)) + noise


def search(drift: str, seed: int, risk: float = 0.05, n: int = 400) -> Stopped:
    """Simulate a search, and count."""
    rng, stopping = np.random.default_rng(seed), EarlyStopping(GOALS, [N_EPOCHS], ["size"], risk, seed)
    front, reached, lost, n_stopped, n_epochs = np.empty((0, 2)), 0, 0, 0, 0
    for generation in range(n // GENERATION):
        stopping.refresh()
        ended = []
        for key in range(generation * GENERATION + 1, (generation + 1) * GENERATION + 1):
            size, losses = training(rng, key / n, drift)
            stopping.ask(Candidate(key, generation + 1, {}, np.zeros(2), fidelity=N_EPOCHS))
            report, stopped = Report(GOALS, stopping.bounds(key), {"size": size}), False
            try:
                for epoch, loss in enumerate(losses.tolist(), 1):
                    n_epochs += 1
                    report(epoch, {"loss": loss})
            except TrainingStopped:
                stopped = True
            end = np.array([losses[-1], size])
            on_front = not ((front <= end).all(axis=1) & (front < end).any(axis=1)).any()
            reached, lost, n_stopped = reached + on_front, lost + (on_front and stopped), n_stopped + stopped
            if not stopped:
                stopping.take(key, {"loss": float(losses[-1]), "size": size}, report.curve())
                ended.append(end)
        front = np.vstack([front, *ended])
    return Stopped(reached, lost, n_stopped / n, 1 - n_epochs / (n * N_EPOCHS))


def lost_shares(drift: str, seeds: Sequence[int], risk: float = 0.05, n: int = 400) -> tuple[list[Stopped], float]:
    """Return what happened with each seed, and the share of the trainings on the front that was stopped, in all."""
    each = [search(drift, seed, risk, n) for seed in seeds]
    return each, sum(one.lost for one in each) / sum(one.reached_front for one in each)


def main() -> None:
    """Print a line for each drift and risk."""
    print("drift     risk  lost  (worst seed)  stopped  saved   of trainings on the front")
    for risk in (0.05, 0.2):
        for drift in DRIFTS:
            each, share = lost_shares(drift, range(10), risk)
            worst = max(one.lost / one.reached_front for one in each)
            stopped, saved = (float(np.mean([getattr(one, key) for one in each])) for key in ("stopped", "saved"))
            n = np.mean([one.reached_front for one in each])
            print(f"{drift:8} {risk:5} {share:5.3f} {worst:13.3f} {stopped:8.2f} {saved:6.2f}   {n:.0f}", flush=True)
