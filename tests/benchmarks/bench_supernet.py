"""MODNAS with a real supernet of convolutional networks, beside what is simpler at the same cost; all trainings real.

Run: python -m tests.benchmarks.bench_supernet [SEEDS]

The space is that of ``supernet_cnn``, on two distorted copies of scikit-learn's digits. One run trains a supernet
and a hypernetwork for 4 simulated devices (MAC rate, bandwidth, overhead per layer, batch), and is read out on 2 of
them and on 3 unseen ones. What a method recommends is trained, each network by itself; its test error and its latency
by the simulation make the hypervolume up to (1, 1), over the range of all that was trained with the seed, as a share
of that of all of it. Beside it: 24 random networks; as many random trainings as the run costs, shared by all devices;
the best 24 of 500 random networks by the run's supernet and latency net, without the hypernetwork.
About 3 minutes on one thread for each seed.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from evo_moo.problems.supernet_cnn import SupernetCNN
from scipy.stats import spearmanr

from evo_moo.pareto import hypervolume
from evo_moo.space import Configuration, SearchSpace
from evo_moo.threads import one_thread
from evo_moo.toolkit.devices.device import N_REFERENCES, Device
from evo_moo.toolkit.devices.latency_net import features_of, train_latency_net
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.hypernetworks import DeviceTables
from evo_moo.toolkit.modnas.losses import RunningScaled
from evo_moo.toolkit.modnas.readout import best_rows, predicted, read_out, sampled_read_out
from evo_moo.toolkit.modnas.search import Settings, search
from evo_moo.toolkit.supernet.shared_weights import SharedWeights
from evo_moo.toolkit.supernet.space import ElasticSpace
from evo_moo.toolkit.supernet.supernet import Supernet
from evo_moo.toolkit.supernet.training import Settings as SupernetSettings
from evo_moo.toolkit.supernet.training import inherited_score, train_supernet
from evo_moo.toolkit.training import set_determinism, train_and_test

N_RANDOM, N_POINTS, N_SAMPLE, N_JUDGED = 60, 24, 500, 512
RUN = Settings(steps=150, warm_up=300)
TRAINING: dict[str, Any] = {"epochs": 6, "batch_size": 128, "lr": 1e-2, "optimizer": "adamw", "weight_decay": 1e-4}
RANDOM, ARGMAX, SAMPLED = "random 24", "MODNAS, arg max", "MODNAS, sampled read-out"
EQUAL, RANKED = "equal-cost random trainings", f"best 24 of {N_SAMPLE:,} by the supernet"
METHODS = (RANDOM, ARGMAX, SAMPLED, EQUAL, RANKED)


class Simulated(NamedTuple):
    """A device that is simulated: latency by the roofline of each layer, and an overhead for each."""

    name: str
    macs_per_ms: float
    bytes_per_ms: float
    overhead_ms: float
    batch: int

    def latency_ms(self, space: ElasticSpace, config: Configuration) -> float:
        """Return the time of one batch."""
        layers = space.layers(config)
        moved = [
            4 * (c * w * k**2 + self.batch * side**2 * (w + 4 * c)) for c, w, k, _, side in layers
        ]  # weights, output, and the input of twice the side
        macs = space.macs(config)
        head = 4 * macs[-1]
        times = [
            max(self.batch * mac / self.macs_per_ms, size / self.bytes_per_ms) + self.overhead_ms
            for mac, size in zip(macs, [*moved, head], strict=True)
        ]
        return float(sum(times))


SEEN = [
    Simulated("server_64", 5e7, 2e7, 0.05, 64),
    Simulated("desktop_1", 1e7, 1e7, 0.01, 1),
    Simulated("phone_1", 2e6, 4e6, 0.005, 1),
    Simulated("board_1", 2e5, 5e5, 0.002, 1),
]
UNSEEN = [
    Simulated("laptop_16", 2e7, 8e6, 0.02, 16),
    Simulated("tablet_1", 1e6, 3e6, 0.02, 1),
    Simulated("micro_1", 5e4, 2e5, 0.0, 1),
]
SCORED = [SEEN[0], SEEN[2], *UNSEEN]


class Bench:
    """One seed: its data, its trainings, and the methods that share them."""

    def __init__(self, seed: int) -> None:
        problem = SupernetCNN(latency_batch=0, copies=2)
        self.seed, self.parts, self.space = seed, problem.parts, problem.elastic
        self.rng = np.random.default_rng(seed)
        self.conditional = Decisions(SearchSpace(self.space.variables))
        self.trained: dict[str, tuple[float, float, float]] = {}
        self.looks: dict[str, float] = {}

    def key(self, config: Configuration) -> str:
        (canonical,) = self.conditional.decode(self.conditional.encode([self.existing(config)]))
        return json.dumps(canonical)

    def existing(self, config: Configuration) -> Configuration:
        return {n: v for n, v in config.items() if "_" not in n or int(n[-1]) <= config["depth"]}

    def random(self, n: int) -> list[Configuration]:
        """Draw networks, each option of a decision as likely as the others."""
        options = self.space.decisions.items()
        return [self.existing({k: o[self.rng.integers(len(o))] for k, o in options}) for _ in range(n)]

    def truth(self, config: Configuration) -> tuple[float, float, float]:
        """Train a network by itself, once; return the errors on validation and test data, and the CPU seconds."""
        from evo_moo.toolkit.supernet.networks import plain_network

        key = self.key(config)
        if key not in self.trained:
            clock = time.process_time()
            metrics = train_and_test(
                lambda: plain_network(self.space, config), **self.parts, seed=self.seed, **TRAINING
            )[1]
            seconds = time.process_time() - clock
            self.trained[key] = (1 - metrics["accuracy"], 1 - metrics["test_accuracy"], seconds)
        return self.trained[key]

    def device(self, simulated: Simulated) -> Device:
        """Measure the ten reference networks: the largest, the smallest and eight random ones, the same for all."""
        options, rng = self.space.decisions, np.random.default_rng(0)
        ends = [{k: o[end] for k, o in options.items()} for end in (-1, 0)]
        ends[0]["pool"], ends[1]["pool"] = options["pool"][0], options["pool"][-1]
        drawn = [{k: o[rng.integers(len(o))] for k, o in options.items()} for _ in range(N_REFERENCES - 2)]
        return Device(simulated.name, tuple(simulated.latency_ms(self.space, c) for c in (*ends, *drawn)))

    def run(self) -> tuple[dict[str, dict[str, list[Configuration]]], Supernet, float]:
        """Train latency net, supernet and hypernetwork, and read out; return networks by method and device."""
        clock = time.process_time()
        known = self.random(900)
        devices = {simulated.name: self.device(simulated) for simulated in SEEN + UNSEEN}
        features = {name: features_of(device) for name, device in devices.items()}
        latencies = np.array([[s.latency_ms(self.space, c) for s in SEEN] for c in known])
        one_hots = self.conditional.encode(known).numpy()
        net = train_latency_net(one_hots, latencies, [devices[s.name] for s in SEEN], seed=self.seed, steps=1500)
        set_determinism(self.seed)
        weights = SharedWeights(
            Supernet(self.space), self.parts["train"], RUN.warm_up + RUN.steps, seed=self.seed, batch_size=64
        )
        decisions, seen = weights.decisions, torch.stack([features[s.name] for s in SEEN])
        latency = weights.canonical(net)
        hypernetwork = DeviceTables(seen, decisions.n_columns, seed=self.seed)
        losses = [RunningScaled(weights.loss), latency]
        search(hypernetwork, decisions, seen, losses, RUN, seed=self.seed, train_weights=weights.train)
        trained_s = time.process_time() - clock
        fresh = [self.looked(weights.supernet, decisions), latency]
        found: dict[str, dict[str, list[Configuration]]] = {method: {} for method in METHODS}
        for s in SCORED:
            h = features[s.name]
            found[ARGMAX][s.name] = decisions.space.decode(read_out(hypernetwork, decisions, h).X)
            best = sampled_read_out(hypernetwork, decisions, fresh, h, n=N_POINTS, seed=self.seed)
            found[SAMPLED][s.name] = decisions.space.decode(best.X)
        cpu_s, clock = time.process_time() - clock, time.process_time()
        print(f"seed {self.seed}: search {trained_s:.0f} CPU s, with read-outs {cpu_s:.0f}", flush=True)
        sample = decisions.space.sample(N_SAMPLE, self.rng)
        for s in SCORED:
            rows = best_rows(predicted(decisions, sample, fresh, features[s.name]), N_POINTS)
            found[RANKED][s.name] = decisions.space.decode(sample[rows])
        print(f"seed {self.seed}: ranking of the sample {time.process_time() - clock:.0f} CPU s more", flush=True)
        unseen = [spearmanr(net(torch.tensor(one_hots), features[s.name]), [
            s.latency_ms(self.space, c) for c in known]).statistic for s in UNSEEN]  # fmt: skip
        print(f"seed {self.seed}: latency net on unseen devices, rank correlation {np.mean(unseen):.3f}", flush=True)
        return found, weights.supernet, cpu_s

    def looked(self, supernet: Supernet, decisions: Decisions) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return the errors with inherited weights and the statistics of the batch; each network is looked at once."""
        X, y = (part[:N_JUDGED] for part in self.parts["validation"])

        def error(one_hots: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
            errors = []
            for config in decisions.decode(one_hots):
                if (key := self.key(config)) not in self.looks:
                    logits = supernet.sampled(X, self.existing(config))[-1]
                    self.looks[key] = float((logits.argmax(1) != y).double().mean())
                errors.append(self.looks[key])
            return torch.tensor(errors)

        return error

    def volumes(self, found: dict[str, dict[str, list[Configuration]]]) -> dict[str, list[float]]:
        """Return for each method the share of the hypervolume on each scored device."""
        shares: dict[str, list[float]] = {method: [] for method in found}
        configs = {key: json.loads(key) for key in self.trained}
        for s in SCORED:
            F = {k: (self.trained[k][1], s.latency_ms(self.space, c)) for k, c in configs.items()}
            F = {k: f for k, f in F.items() if f[0] < 0.9}
            low, high = (end(np.array(list(F.values())), axis=0) for end in (np.min, np.max))
            unit = {k: (np.array(f) - low) / (high - low) for k, f in F.items()}
            whole = hypervolume(np.array(list(unit.values())), (1.0, 1.0))
            for method, of_device in found.items():
                points = [unit[k] for c in of_device[s.name] if (k := self.key(c)) in unit]
                shares[method].append(hypervolume(np.array(points), (1.0, 1.0)) / whole)
        return shares


class Row(NamedTuple):
    """What one seed gave."""

    volumes: dict[str, list[float]]
    unique: dict[str, float]
    rank_of_run: float
    rank_alone: float
    cpu_s: float
    training_s: float


def of_seed(seed: int) -> Row:
    bench = Bench(seed)
    randoms = bench.random(N_RANDOM)
    found, supernet, cpu_s = bench.run()
    standalone = [bench.truth(config)[0] for config in randoms]
    training_s = float(np.mean([bench.truth(config)[2] for config in randoms]))
    n_equal = max(N_POINTS, round(cpu_s / training_s))
    shared = [*randoms, *bench.random(n_equal - N_RANDOM)] if n_equal > N_RANDOM else randoms[:n_equal]
    print(f"seed {seed}: a training {training_s:.2f} CPU s, so {n_equal} random ones cost the same", flush=True)
    for s in SCORED:
        found[RANDOM][s.name], found[EQUAL][s.name] = randoms[:N_POINTS], shared
    alone = train_supernet(bench.space, bench.parts["train"], SupernetSettings(), seed=seed)
    ranks = [
        float(
            spearmanr(
                [1 - inherited_score(net, c, bench.parts["train"][0], bench.parts["validation"])[0] for c in randoms],
                standalone,
            )[0]
        )
        for net in (supernet, alone)
    ]
    print(
        f"seed {seed}: rank correlations {ranks[0]:.3f} of the run's supernet, {ranks[1]:.3f} of one alone", flush=True
    )
    for method in METHODS:
        for config in (config for configs in found[method].values() for config in configs):
            bench.truth(config)
    print(f"seed {seed}: {len(bench.trained)} networks trained", flush=True)
    unique = {m: float(np.mean([len({bench.key(c) for c in cs}) for cs in of.values()])) for m, of in found.items()}
    volumes = bench.volumes(found)
    for method, shares in volumes.items():
        one_layer = np.mean([config["depth"] == 1 for configs in found[method].values() for config in configs])
        words = f"unique {unique[method]:.1f}, {one_layer:.0%} of one layer"
        print(f"  {method:34} " + " ".join(f"{s:.3f}" for s in shares) + f"  {words}", flush=True)
    return Row(volumes, unique, ranks[0], ranks[1], cpu_s, training_s)


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def said(claim: str, holds: bool) -> None:
    print(f"  {'holds' if holds else 'FAILS'}: {claim}", flush=True)


def table(rows: Sequence[Row]) -> None:
    """Print the table of M8 and M9, and what holds."""
    n_seen = len(SCORED) - len(UNSEEN)
    print(f"\nSimulated devices, real trainings, {len(rows)} seeds; share of the hypervolume of all that was trained")
    print(f"{'method':36} {'seen':>15} {'unseen':>15} {'unique':>8}")
    mean = {m: [float(np.mean(row.volumes[m])) for row in rows] for m in METHODS}
    for m in METHODS:
        seen, unseen = (
            [float(np.mean(row.volumes[m][part])) for row in rows] for part in (slice(n_seen), slice(n_seen, None))
        )
        print(f"{m:36} {spread(seen):>15} {spread(unseen):>15} {np.mean([row.unique[m] for row in rows]):8.1f}")
    ranks = [row.rank_of_run for row in rows]
    print(
        f"rank correlation of the run's supernet {spread(ranks)}, of one alone {spread([r.rank_alone for r in rows])}"
    )
    said(f"M8 rank correlation with 60 trained networks {min(ranks):.3f} or more >= 0.8", min(ranks) >= 0.8)
    said(f"M8 a run takes {max(r.cpu_s for r in rows):.0f} CPU s or less <= 120", max(r.cpu_s for r in rows) <= 120)
    gain = float(np.mean(mean[SAMPLED]) - np.mean(mean[RANDOM]))
    said(f"M8 sampled read-out {gain:+.3f} >= +0.05 against random 24", gain >= 0.05)
    for other in (EQUAL, RANKED):
        gains = [a - b for a, b in zip(mean[SAMPLED], mean[other], strict=True)]
        better = "" if min(gains) > 0 else "not "
        print(f"  M9 sampled read-out against {other}: {spread(gains)}, so {better}better over {len(gains)} seeds")


def main() -> None:
    """Run all seeds."""
    with one_thread():
        table([of_seed(seed) for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)])


if __name__ == "__main__":
    main()
