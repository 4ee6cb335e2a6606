"""MODNAS on NAS-Bench-201: one search for 13 devices, read out on 6 that it did not see, beside what is simpler.

Run: EVO_MOO_DATA=… python -m tests.benchmarks.bench_modnas [quick]

Three seeds. A seed draws 300 cells, whose test accuracies (the table has no clean ones of validation) an ensemble
learns, and fits a latency net on the 13 devices; both then are all that a method sees of the space and of the device,
whose ten reference latencies are measured. What a method recommends is scored by true errors and latencies: the
hypervolume up to (1, 1) over the space's range, as a share of the true front's. ``quick`` leaves out the long searches.
Then NSGA-II on each unseen device, begun by what was recommended. About a quarter of an hour on one thread.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from pymoo.indicators.gd_plus import GDPlus
from pymoo.indicators.igd_plus import IGDPlus
from scipy.stats import spearmanr
from torch import nn

from evo_moo import FunctionProblem, Optimizer
from evo_moo.threads import one_thread
from evo_moo.toolkit.devices.latency_net import features_of, train_latency_net
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.hypernetworks import Bank, DeviceTables, MLPHypernetwork
from evo_moo.toolkit.modnas.losses import Loss, Scaled
from evo_moo.toolkit.modnas.predictor import fit_ensemble
from evo_moo.toolkit.modnas.readout import best_rows, predicted, read_out, sampled_read_out
from evo_moo.toolkit.modnas.search import DESCENTS, Settings, search
from tests.benchmarks.nasbench201_devices import SEEN, UNSEEN, Cells, Rows, cells, rows_of, said, space_of_cells, spread

SEEDS = (0, 1, 2)
N_LABELS, N_POINTS, POP_SIZE = 300, 24, 24
COUNTS = (24, 48, 72, 96, 120)
TABLES, SAMPLED = "device tables, min-norm", "device tables, sampled read-out"
RANDOM, UNTRAINED = "random 24 cells", "device tables, untrained"
EXHAUSTIVE, LABELLED = "exhaustive ranking, best 24", "best 24 of the 300 labelled cells"

Method = Callable[[str], Rows]
"""From the name of a device to the numbers of the cells that are recommended for it."""


class Scores(NamedTuple):
    """What a method recommends, as means over devices; distances and counts over those that the search did not see."""

    seen: float
    unseen: float
    gd: float
    igd: float
    n_unique: float
    n_on_front: float
    cpu_s: float


class Bench:
    """One seed: its labels, its predictors, and the methods that see them."""

    def __init__(self, table: Cells, seed: int) -> None:
        self.table, self.seed = table, seed
        self.decisions = Decisions(space_of_cells().space)
        one_hots = self.decisions.one_hots(table.X)
        self.labels = np.random.default_rng(seed).permutation(len(table.X))[:N_LABELS]
        clock = time.process_time()
        error = fit_ensemble(one_hots[self.labels], np.log(table.error[self.labels]), seed=seed)
        known = np.column_stack([table.latency_ms[name] for name in SEEN])
        latency = train_latency_net(one_hots.numpy(), known, [table.devices[name] for name in SEEN], seed=seed)
        self.losses: list[Loss] = [Scaled(error, one_hots), Scaled(latency, one_hots)]
        self.features = {name: features_of(device) for name, device in table.devices.items()}
        self.seen = torch.stack([self.features[name] for name in SEEN])
        ranks = [spearmanr(latency(one_hots, self.features[n]), table.latency_ms[n]).statistic for n in UNSEEN]
        words = f"error {spearmanr(error(one_hots), table.error).statistic:.3f}, latency unseen {np.mean(ranks):.3f}"
        print(
            f"seed {seed}: predictors, {time.process_time() - clock:.0f} CPU s, rank correlations {words}", flush=True
        )

    def tables(self) -> nn.Module:
        return DeviceTables(self.seen, self.decisions.n_columns, seed=self.seed)

    def bank(self) -> nn.Module:
        return Bank(self.decisions.n_columns, seed=self.seed)

    def mlp(self) -> nn.Module:
        return MLPHypernetwork(self.decisions.n_columns, seed=self.seed)

    def searched(self, hypernetwork: nn.Module, **settings: Any) -> nn.Module:
        search(hypernetwork, self.decisions, self.seen, self.losses, Settings(**settings), seed=self.seed)
        return hypernetwork

    def by_arg_max(self, hypernetwork: nn.Module) -> Method:
        return lambda name: rows_of(read_out(hypernetwork, self.decisions, self.features[name]).unique)

    def by_samples(self, hypernetwork: nn.Module, **options: Any) -> Method:
        parts = self.decisions, self.losses
        return lambda name: rows_of(
            sampled_read_out(hypernetwork, *parts, self.features[name], seed=self.seed, **options).X
        )

    def exhaustive(self, name: str) -> Rows:
        return best_rows(predicted(self.decisions, self.table.X, self.losses, self.features[name]), N_POINTS)

    def labelled(self, name: str) -> Rows:
        """Return the best of what was trained, by true errors: shared training at the cost of the search."""
        F = predicted(self.decisions, self.table.X[self.labels], self.losses, self.features[name])
        F[:, 0] = self.table.error[self.labels]
        return self.labels[best_rows(F, N_POINTS)]

    def random(self, name: str) -> Rows:
        return np.random.default_rng([self.seed, (UNSEEN + SEEN).index(name)]).permutation(len(self.table.X))[:N_POINTS]

    def scores(self, method: Method, cpu_s: float) -> Scores:
        rows = {name: np.unique(method(name)) for name in SEEN + UNSEEN}
        shares = {name: self.table.share(name, found) for name, found in rows.items()}
        fronts = {name: self.table.front(name) for name in UNSEEN}
        pairs = [(self.table.F(n, fronts[n]), self.table.F(n, rows[n])) for n in UNSEEN]
        return Scores(
            float(np.mean([shares[name] for name in SEEN])),
            float(np.mean([shares[name] for name in UNSEEN])),
            float(np.mean([GDPlus(front)(F) for front, F in pairs])),
            float(np.mean([IGDPlus(front)(F) for front, F in pairs])),
            float(np.mean([len(rows[name]) for name in UNSEEN])),
            float(np.mean([np.isin(rows[name], fronts[name]).sum() for name in UNSEEN])),
            cpu_s,
        )


def settings_by_name(quick: bool) -> dict[str, tuple[Callable[[Bench], nn.Module], dict[str, Any]]]:
    """Return what is trained: names to hypernetworks and settings."""
    found: dict[str, tuple[Callable[[Bench], nn.Module], dict[str, Any]]] = {
        f"device tables, {descent}": (Bench.tables, {"descent": descent}) for descent in DESCENTS
    }
    if not quick:
        for sampler in ("gumbel", "straight-through"):
            found[f"device tables, {sampler}"] = (Bench.tables, {"sampler": sampler})
        for descent in ("min-norm", "mean"):
            bank = {"lr": 3e-4 * len(SEEN), "weight_decay": 0.09, "descent": descent}  # as published, but for the steps
            found[f"published bank, {descent}"] = (Bench.bank, bank)
            found[f"MLP, {descent}"] = (Bench.mlp, {"lr": 2e-3, "descent": descent})
        found["MLP, mean, entropy 0.01"] = (Bench.mlp, {"lr": 2e-3, "descent": "mean", "entropy": 0.01})
    return found


def compare(benches: list[Bench], quick: bool) -> tuple[dict[str, list[Scores]], list[nn.Module]]:
    """Print what all methods recommend; return their scores, and the tables of each seed."""
    scores: dict[str, list[Scores]] = {}
    trained = []
    for bench in benches:
        plain = {RANDOM: bench.random, UNTRAINED: bench.by_arg_max(bench.tables()), LABELLED: bench.labelled}
        for name, method in ({**plain, EXHAUSTIVE: bench.exhaustive}).items():
            scores.setdefault(name, []).append(bench.scores(method, 0.0))
        for name, (make, settings) in settings_by_name(quick).items():
            clock = time.process_time()
            hypernetwork = bench.searched(make(bench), **settings)
            cpu_s = time.process_time() - clock
            scores.setdefault(name, []).append(bench.scores(bench.by_arg_max(hypernetwork), cpu_s))
            if name == TABLES:
                trained.append(hypernetwork)
                scores.setdefault(SAMPLED, []).append(bench.scores(bench.by_samples(hypernetwork), cpu_s))
    head = ("method, seeds 0 to 2", "hypervolume seen", "unseen", "GD+ unseen", "IGD+", "unique", "on front", "CPU s")
    print("\n{:34} {:17} {:14} {:>10} {:>6} {:>6} {:>8} {:>6}".format(*head))
    for name, of in sorted(scores.items(), key=lambda item: np.mean([s.unseen for s in item[1]])):
        means = np.mean(of, axis=0)
        volumes = f"{spread([s.seen for s in of]):17} {spread([s.unseen for s in of]):14}"
        print(f"{name:34} {volumes} {means[2]:10.4f} {means[3]:6.4f} {means[4]:6.1f} {means[5]:8.1f} {means[6]:6.1f}")
    return scores, trained


def check_scores(scores: dict[str, list[Scores]]) -> None:
    """Print whether M3 holds, and what is better than MODNAS."""
    mean = {name: float(np.mean([s.unseen for s in of])) for name, of in scores.items()}
    ours = mean[TABLES]
    said(f"M3 hypervolume of tables unseen {ours:.3f} >= 0.95", ours >= 0.95)
    for name, margin in ((RANDOM, 0.04), (UNTRAINED, 0.02)):
        said(f"M3 tables {ours:.3f} >= {name} {mean[name]:.3f} + {margin}", ours >= mean[name] + margin)
    better = [f"{name} {mean[name]:.3f}" for name in (LABELLED, EXHAUSTIVE) if mean[name] > mean[TABLES]]
    print(f"  without a hypernetwork better than {ours:.3f} by arg max: {', '.join(better) or 'none'}")
    better = [f"{name} {mean[name]:.3f}" for name in (LABELLED, EXHAUSTIVE) if mean[name] > mean[SAMPLED]]
    print(f"  without a hypernetwork better than {mean[SAMPLED]:.3f} by samples: {', '.join(better) or 'none'}")


def check_preferences(benches: list[Bench], trained: list[nn.Module]) -> None:
    """Print whether M4 holds, and what the features of a wrong device cost."""
    for bench, hypernetwork in zip(benches, trained, strict=True):
        ranks, counts, wrong = [], [], []
        for place, name in enumerate(UNSEEN):
            found = read_out(hypernetwork, bench.decisions, bench.features[name])
            ranks.append(spearmanr(found.preferences[:, 1], bench.table.latency_ms[name][rows_of(found.X)]).statistic)
            counts.append(found.n_unique)
            other = bench.by_arg_max(hypernetwork)(UNSEEN[place - 1])
            wrong.append(bench.table.share(name, rows_of(found.X)) - bench.table.share(name, other))
        n = sum(rank <= -0.6 and count >= 6 for rank, count in zip(ranks, counts, strict=True))
        words = f"{', '.join(f'{rank:.2f}' for rank in ranks)}; unique {', '.join(map(str, counts))}"
        said(f"M4 seed {bench.seed}: weight of latency against latency {words}: {n} of 6 >= 5", n >= 5)
        print(f"    hypervolume lost by the features of another device: {spread(wrong, 4)} over 6 devices")


def evolved(bench: Bench, device: str, start: Rows, told: Rows) -> list[float]:
    """Return the shares after 0 and each of COUNTS true evaluations of NSGA-II on a device.

    Args:
        bench: The seed.
        device: Name of the device.
        start: Cells that are evaluated first.
        told: Cells known before, which cost nothing; the best of them are the first population.
    """
    table, space = bench.table, bench.decisions.space

    def metrics(row: int) -> dict[str, float]:
        return {"error": float(table.error[row]), "latency_ms": float(table.latency_ms[device][row])}

    problem = FunctionProblem(lambda config: {}, space.variables, {"error": "min", "latency_ms": "min"})
    optimizer = Optimizer(problem, pop_size=POP_SIZE, seed=bench.seed, start=space.decode(table.X[start]))
    F = np.column_stack([table.error[told], table.latency_ms[device][told]])
    for row in told[best_rows(F, POP_SIZE, only_front=False)] if len(told) else ():
        optimizer.tell(space.decode(table.X[[row]])[0], metrics(int(row)))
    known = told.tolist()
    shares = [table.share(device, told)]
    while len(known) < len(told) + COUNTS[-1]:
        for candidate in optimizer.ask():
            (row,) = rows_of(candidate.x[None]).tolist()
            optimizer.tell(candidate, metrics(row))
            if row not in known:
                known.append(row)
                if len(known) - len(told) in COUNTS:
                    shares.append(table.share(device, np.array(known)))
    return shares


def warm_starts(benches: list[Bench], trained: list[nn.Module]) -> None:
    """Print how NSGA-II on the unseen devices gains by each start, and whether M6 and M7 hold."""
    means: dict[tuple[bool, str], list[list[float]]] = {}
    none = np.empty(0, dtype=np.int64)
    for bench, hypernetwork in zip(benches, trained, strict=True):
        starts: dict[str, Method] = {
            "cold": lambda name: none,
            "MODNAS": bench.by_samples(hypernetwork, only_front=False),
            "MODNAS, arg max": bench.by_arg_max(hypernetwork),
            "random": bench.random,
            "exhaustive ranking": bench.exhaustive,
        }
        for told in (none, bench.labels):
            for start, method in starts.items():
                shares = [evolved(bench, name, method(name), told) for name in UNSEEN]
                means.setdefault((len(told) > 0, start), []).append(np.mean(shares, axis=0).tolist())
    print("\nNSGA-II on each unseen device: hypervolume after true evaluations there, means over 6 devices")
    print(f"{'start':50}" + "".join(f"{n:>15}" for n in (0, *COUNTS)))
    for (is_told, start), shares in means.items():
        words = f"{start}, {'300 labels given' if is_told else '300 labels of the search not counted'}"
        words = "cold" if (is_told, start) in ((False, "cold"), (False, "random")) else words
        print(f"{words:50}" + "".join(f"{spread(list(column)):>15}" for column in zip(*shares, strict=True)))

    def mean(is_told: bool, start: str, n: int) -> float:
        return float(np.mean([shares[(0, *COUNTS).index(n)] for shares in means[is_told, start]]))

    ours, cold = mean(False, "MODNAS", 24), mean(False, "cold", 96)
    said(
        f"M6 24 evaluations from MODNAS {ours:.3f} >= 96 of cold NSGA-II {cold:.3f}; it spent 300 labels", ours >= cold
    )
    ours, cold = mean(True, "MODNAS", 24), mean(True, "cold", 48)
    said(f"M7 with the same labels 24 from MODNAS {ours:.3f} >= 48 ordinary offspring {cold:.3f}", ours >= cold)


def main() -> None:
    """Run everything."""
    table, quick = cells(), "quick" in sys.argv
    with one_thread():
        benches = [Bench(table, seed) for seed in SEEDS]
        scores, trained = compare(benches, quick)
        check_scores(scores)
        check_preferences(benches, trained)
        warm_starts(benches, trained)


if __name__ == "__main__":
    main()
