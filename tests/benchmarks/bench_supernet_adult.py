"""Three objectives on Adult by one conditioned supernet, and by NSGA-II at the same sample passes; all trainings real.

Run: EVO_MOO_DATA=… python -m tests.benchmarks.bench_supernet_adult [SEEDS]

Objectives are the error, the gap of equal opportunity between women and men, and the logarithm of the multiplications.
The supernet is an MLP of up to three layers of 4 to 64 units, which also reads the preference between the objectives;
a hypernetwork makes architectures of preferences. One half of the training rows moves the weights, the other the
hypernetwork. It is read out at 28 preferences, the likeliest architecture and 8 drawn ones of each. NSGA-II trains an
MLP for each architecture and factor of the fairness loss; random search does the same. Both are read out as what is
not dominated on validation data, and scored on test data: hypervolume between (0.14, 0, 0) and (0.25, 0.25, 1).
About 2 minutes on one thread for each seed.
"""

import itertools
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from evo_moo import FunctionProblem, Optimizer
from evo_moo.pareto import hypervolume, pareto_rows
from evo_moo.space import Choice, Configuration, Real, SearchSpace
from evo_moo.threads import one_thread
from evo_moo.toolkit.conditioned.losses import Batch, Samples, bce, eo_rate
from evo_moo.toolkit.conditioned.preferences import dirichlet
from evo_moo.toolkit.conditioned.scores import eo_gap, error
from evo_moo.toolkit.conditioned.tables import read_table
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.hypernetworks import DeviceTables
from evo_moo.toolkit.modnas.samplers import hard, reinmax
from evo_moo.toolkit.modnas.simplex import Lattice
from evo_moo.toolkit.training import lr_factor, set_determinism

Array = npt.NDArray[np.float64]
WIDTHS, DEPTHS = (4, 8, 16, 32, 64), (1, 2, 3)
N_TRAIN, BATCH, STEPS, EPOCHS, POP_SIZE, N_DRAWN = 10_000, 512, 2000, 5, 12, 8
LOW, HIGH = np.array([0.14, 0.0, 0.0]), np.array([0.25, 0.25, 1.0])
SHARPNESS, LR = 4.0, 5e-3
OPTIONS = {"depth": DEPTHS} | {f"width_{i}": WIDTHS for i in DEPTHS}


class Found(NamedTuple):
    """Objectives on validation and test data ``(n, 3)``, and what they cost."""

    validation: Array
    test: Array
    passes: int
    cpu_s: float

    @property
    def front(self) -> Array:
        """What is not dominated on validation data, as it is on test data."""
        return self.test[pareto_rows(self.validation, np.zeros(len(self.validation)))]

    @property
    def volume(self) -> float:
        return float(hypervolume((self.front - LOW) / (HIGH - LOW), (1.0, 1.0, 1.0)))


class ElasticMLP(nn.Module):
    """All MLPs of the space in one: the first units of each layer, a head for each depth; it reads the preference."""

    def __init__(self, n_features: int, n_objectives: int) -> None:
        super().__init__()
        sizes = [n_features + n_objectives, *[WIDTHS[-1]] * len(DEPTHS)]
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in itertools.pairwise(sizes))
        self.heads = nn.ModuleList(nn.Linear(WIDTHS[-1], 1) for _ in DEPTHS)
        self.masks = (torch.tensor(WIDTHS)[:, None] > torch.arange(WIDTHS[-1])).float()

    def forward(self, X: Tensor, preference: Tensor, one_hots: Tensor) -> Tensor:
        """Return logits ``(n,)``, differentiable in the one-hots ``(n_columns,)``."""
        depth, *widths = one_hots.split([len(o) for o in OPTIONS.values()])
        x, logits = torch.cat([X, preference.expand(len(X), -1)], dim=1), []
        for layer, head, width in zip(self.layers, self.heads, widths, strict=True):
            x = torch.relu(layer(x)) * (width @ self.masks)
            logits.append(head(x)[:, 0])
        return depth @ torch.stack(logits)


def log_macs(one_hots: Tensor, n_features: int) -> Tensor:
    """Return the logarithm of the multiplications for one row, 0 for the least and 1 for the most; differentiable."""
    depth, *widths = one_hots.split([len(o) for o in OPTIONS.values()])
    sizes = [width @ torch.tensor(WIDTHS, dtype=torch.float32) for width in widths]
    inner = torch.stack([n_features * sizes[0], sizes[0] * sizes[1], sizes[1] * sizes[2]]).cumsum(0)
    low, wide = (n_features + 1) * WIDTHS[0], WIDTHS[-1]
    high = n_features * wide + 2 * wide**2 + wide
    return ((depth @ (inner + torch.stack(sizes))).log() - np.log(low)) / np.log(high / low)


def batches(n: int, rng: np.random.Generator) -> Any:
    while True:
        yield from torch.from_numpy(rng.permutation(n)).split(BATCH)[: max(1, n // BATCH)]


def losses_of(logits: Tensor, samples: Samples) -> Tensor:
    batch = Batch(samples, logits, lambda X: logits)
    return torch.stack([bce(batch), eo_rate(batch, SHARPNESS)])


def objectives(logits: Tensor, samples: Samples, macs: float) -> list[float]:
    return [float(score(logits[None], samples)[0]) for score in (error, eo_gap)] + [macs]


def conditioned(parts: dict[str, Samples], seed: int) -> Found:
    """Train the supernet and the hypernetwork, and read them out."""
    clock, train = time.process_time(), parts["train"]
    set_determinism(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    n_features = train.X.shape[1]
    decisions = Decisions(SearchSpace({name: Choice(options) for name, options in OPTIONS.items()}))
    net, device = ElasticMLP(n_features, 3), torch.zeros(10)
    hypernetwork = DeviceTables(device[None], decisions.n_columns, 3, seed=seed)
    of_weights, of_logits = (
        torch.optim.Adam(net.parameters(), LR),
        torch.optim.Adam(hypernetwork.parameters(), 2e-2, (0.5, 0.999)),
    )
    halves = [train.at(rows) for rows in torch.from_numpy(rng.permutation(len(train.y))).chunk(2)]
    orders, preference = [batches(len(half.y), rng) for half in halves], dirichlet(1.0, 3, seed)
    for step in range(STEPS):
        of_weights.param_groups[0]["lr"] = LR * lr_factor("cosine", step / STEPS)
        for half, order, optimizer in zip(halves, orders, (of_weights, of_logits), strict=True):
            samples, r = half.at(next(order)), torch.as_tensor(preference(), dtype=torch.float32)
            logits = hypernetwork(r[None], device)
            if optimizer is of_weights:
                # A quarter of the networks is drawn uniformly, so that all keep useful weights.
                logits = torch.zeros_like(logits) if step < STEPS // 10 or step % 4 == 0 else logits
            draw = hard if optimizer is of_weights else reinmax
            z = decisions.sample(logits, lambda t, draw=draw: draw(t, generator))[0]
            both = losses_of(net(samples.X, r, z), samples)
            loss = r[:2] @ both if optimizer is of_weights else r @ torch.cat([both, log_macs(z, n_features)[None]])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    rows: dict[str, list[list[float]]] = {"validation": [], "test": []}
    with torch.no_grad():
        for r in Lattice(3, 6).knots:
            likeliest = decisions.one_hots(decisions.rows(hypernetwork(r[None], device)))
            logits = hypernetwork(r[None], device).expand(N_DRAWN, -1)
            drawn = decisions.sample(logits, lambda t: hard(t, generator))
            for z in torch.cat([likeliest, drawn]):
                macs = float(log_macs(z, n_features))
                for name, found in rows.items():
                    found.append(objectives(net(parts[name].X, r, z), parts[name], macs))
    cpu_s = time.process_time() - clock
    return Found(np.array(rows["validation"]), np.array(rows["test"]), 2 * STEPS * BATCH, cpu_s)


def trained(parts: dict[str, Samples], config: Configuration, seed: int) -> tuple[list[float], list[float]]:
    """Train one MLP by itself; return its objectives on validation and test data."""
    set_determinism(seed)
    train, widths = parts["train"], [config[f"width_{i + 1}"] for i in range(config["depth"])]
    sizes = [train.X.shape[1], *widths]
    layers = [layer for n, m in itertools.pairwise(sizes) for layer in (nn.Linear(n, m), nn.ReLU())]
    net = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
    optimizer, order = torch.optim.Adam(net.parameters(), LR), batches(len(train.y), np.random.default_rng(seed))
    n_steps = EPOCHS * (len(train.y) // BATCH)
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = LR * lr_factor("cosine", step / n_steps)
        samples = train.at(next(order))
        both = losses_of(net(samples.X)[:, 0], samples)
        optimizer.zero_grad()
        torch.autograd.backward(both[0] + config["fairness"] * both[1])
        optimizer.step()
    one_hots = torch.cat([
        nn.functional.one_hot(torch.tensor(o.index(config.get(name, o[0]))), len(o)) for name, o in OPTIONS.items()
    ]).float()  # fmt: skip
    with torch.no_grad():
        macs = float(log_macs(one_hots, train.X.shape[1]))
        return tuple(objectives(net(parts[n].X)[:, 0], parts[n], macs) for n in ("validation", "test"))  # type: ignore[return-value]


def separate(parts: dict[str, Samples], passes: int, seed: int, *, evolve: bool) -> Found:
    """Train an MLP for each configuration that NSGA-II asks for, or for random ones, at so many sample passes."""
    clock, of_one = time.process_time(), EPOCHS * (len(parts["train"].y) // BATCH) * BATCH
    variables = {"depth": Choice(DEPTHS, ordered=True), "fairness": Real(0.01, 10.0, log=True)} | {
        f"width_{i}": Choice(WIDTHS, ordered=True, when={"depth": {"at_least": i}}) for i in DEPTHS
    }
    problem = FunctionProblem(lambda config: {}, variables, dict.fromkeys(("error", "gap", "macs"), "min"))
    optimizer = Optimizer(problem, "nsga2" if evolve else "random", pop_size=POP_SIZE, seed=seed)
    rows, n = list[tuple[list[float], list[float]]](), passes // of_one
    while len(rows) < n:
        for candidate in optimizer.ask():
            rows.append(trained(parts, candidate.configuration, seed))
            optimizer.tell(candidate, dict(zip(("error", "gap", "macs"), rows[-1][0], strict=True)))
    validation, test = (np.array([row[i] for row in rows[:n]]) for i in (0, 1))
    return Found(validation, test, n * of_one, time.process_time() - clock)


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def main() -> None:
    """Print the table of M12."""
    whole = read_table("adult").parts()
    parts = whole | {"train": whole["train"].at(torch.arange(N_TRAIN))}
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    runs: dict[str, list[Found]] = {"conditioned supernet": [], "NSGA-II": [], "random search": []}
    with one_thread():
        for seed in seeds:
            ours = conditioned(parts, seed)
            found = [ours, *(separate(parts, ours.passes, seed, evolve=evolve) for evolve in (True, False))]
            for (name, of), each in zip(runs.items(), found, strict=True):
                of.append(each)
                print(f"seed {seed}, {name}: hypervolume {each.volume:.3f}, {len(each.front)} on the front", flush=True)
    print(f"\nAdult, {N_TRAIN:,} training rows, seeds {list(seeds)}; hypervolume on test data")
    for name, of in runs.items():
        ends = np.mean([each.front.min(axis=0) for each in of], axis=0)
        best = f"best error {ends[0]:.3f}, gap {ends[1]:.3f}, log macs {ends[2]:.2f}"
        cost = f"{of[0].passes / 1e6:.1f} M passes, {np.mean([each.cpu_s for each in of]):.0f} CPU s"
        print(f"{name:22} {spread([each.volume for each in of]):>15}  {best}; {cost}")
    shares = [a.volume / b.volume for a, b in zip(runs["conditioned supernet"], runs["NSGA-II"], strict=True)]
    print(f"  M12 {'holds' if min(shares) >= 0.95 else 'FAILS'}: {spread(shares)} of NSGA-II's hypervolume >= 0.95")


if __name__ == "__main__":
    main()
