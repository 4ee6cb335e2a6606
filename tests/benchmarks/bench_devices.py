"""A new device from ten measurements: NAS-Bench-201 on six unseen devices, and this machine as the unseen one.

Run: EVO_MOO_DATA=FOLDER python tests/benchmarks/bench_devices.py

The latency model and the latency net know 13 devices. Ranks, deadlines in milliseconds and the front of a device that
no search has seen are compared with simpler ways. Without the folder only this machine is measured.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from evo_moo.problems.nasbench201 import CELLS, OPS, REFERENCES, NASBench201
from scipy.stats import spearmanr

from evo_moo.pareto import hypervolume
from evo_moo.plugins import load_problem
from evo_moo.problem import Configuration
from evo_moo.threads import one_thread
from evo_moo.toolkit.data_files import find_data
from evo_moo.toolkit.devices.device import Device
from evo_moo.toolkit.devices.device_front import DeviceFront
from evo_moo.toolkit.devices.inputs import architecture_inputs
from evo_moo.toolkit.devices.latency_model import LatencyModel, Predicted
from evo_moo.toolkit.devices.latency_net import LatencyNet, train_latency_net
from evo_moo.toolkit.devices.measuring import Deployment, measure_networks
from evo_moo.toolkit.devices.table import LatencyTable, device_of_metric

Array = npt.NDArray[np.float64]
KNOWN = ["1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r", "samsung_a50", "pixel3"]
KNOWN += ["essential_ph_1", "samsung_s7", "titanx_1", "titanx_32", "titanx_256", "gold_6240"]
UNSEEN = ["titan_rtx_256", "gold_6226", "fpga", "pixel2", "raspi4", "eyeriss"]
SEEDS, QUANTILES = (0, 1, 2), (0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
LATE = 1.05
"""A pick misses a deadline where it takes longer than this many times as long."""
MARGIN = 0.05
N_NETWORKS, N_SAMPLES = 24, 2
KNOWN_HERE = {"ONNX Runtime": Deployment("onnxruntime")}
N_TRAININGS, N_VERIFIED, SAFETY = 200, 5, 1.0


class Benchmark:
    """All cells with their accuracies, their latencies on all devices, and what is predicted of these."""

    def __init__(self) -> None:
        self.problem = NASBench201(devices=KNOWN)
        every = NASBench201(devices=[*KNOWN, *UNSEEN])
        self.configurations = [dict(zip(every.variables, (OPS[op] for op in cell), strict=True)) for cell in CELLS]
        rows = [every.call_compute(config).metrics for config in self.configurations]
        names = {device: name for name in rows[0] if (device := device_of_metric(name))}
        self.latency = {device: np.array([row[name] for row in rows]) for device, name in names.items()}
        self.accuracy = np.array([every.evaluate(config)["accuracy"] for config in self.configurations])
        self.references = np.array([self.configurations.index(config) for config in REFERENCES])
        self.inputs = architecture_inputs(every, self.configurations)
        self.devices = {name: Device(name, tuple(ms[self.references])) for name, ms in self.latency.items()}
        model = LatencyModel(self.problem)
        self.predicted = {name: model.predict(self.configurations, self.table(name)) for name in UNSEEN}

    def table(self, name: str) -> LatencyTable:
        """Return what is measured of a device: the reference networks."""
        return LatencyTable(name, REFERENCES, self.latency[name][self.references].tolist())

    def net(self, seed: int) -> LatencyNet:
        """Train a latency net on 900 cells of each known device."""
        rows = np.random.default_rng(seed).choice(len(CELLS), 900, replace=False)
        latencies = np.column_stack([self.latency[name][rows] for name in KNOWN])
        return train_latency_net(self.inputs[rows], latencies, [self.devices[name] for name in KNOWN], seed=seed)

    def scaled(self, name: str, known: Array) -> Array:
        """Return other latencies in the milliseconds of a device: by the unit of both."""
        of_known = Device("known", tuple(known[self.references]))
        return self.devices[name].in_ms(of_known.in_unit(known))

    def nearest(self, name: str) -> str:
        """Return the known device whose features are nearest."""
        features = self.devices[name].features
        return min(KNOWN, key=lambda known: float(np.abs(self.devices[known].features - features).sum()))


def line(name: str, values: Sequence[float], digits: int = 3) -> None:
    """Print one row: a value for each unseen device, and the mean."""
    print(f"{name:<34}" + "".join(f"{value:>14.{digits}f}" for value in [*values, float(np.mean(values))]), flush=True)


def heading(title: str) -> None:
    """Print a title and the devices."""
    print(f"\n{title}\n{'':<34}" + "".join(f"{name:>14}" for name in [*UNSEEN, "mean"]))


def ranks(bench: Benchmark, nets: Sequence[LatencyNet], cpu_s: Sequence[float]) -> None:
    """M2: rank correlation on unseen devices."""
    heading("Spearman's rank correlation, 5,000 cells that no net has learnt from")
    test = np.random.default_rng(99).permutation(len(CELLS))[:5000]

    def rho(predict: Callable[[str], Array]) -> list[float]:
        return [float(spearmanr(predict(name)[test], bench.latency[name][test]).statistic) for name in UNSEEN]

    known = np.column_stack([bench.latency[name] for name in KNOWN])
    line("mixture (the model's default)", rho(lambda name: bench.predicted[name].mean_ms))
    line("nearest device", rho(lambda name: bench.latency[bench.nearest(name)]))
    line("mean of 13", rho(lambda name: np.mean([bench.devices[k].in_unit(bench.latency[k]) for k in KNOWN], axis=0)))
    plain, tuned = [], []
    for seed, net, seconds in zip(SEEDS, nets, cpu_s, strict=True):
        plain.append(rho(lambda name, net=net: net.predict_ms(bench.inputs, bench.devices[name])))
        line(f"net, seed {seed} ({seconds:.0f} CPU s)", plain[-1])
    for seed, net in zip(SEEDS, nets, strict=True):
        tuned.append(rho(lambda name, net=net: tuned_ms(bench, net, name)))
        line(f"net tuned on 10, seed {seed}", tuned[-1])
    means = [np.mean(each, axis=1) for each in (plain, tuned)]
    print(
        f"net {verdict(means[0].min() >= 0.91, '>= .91')}, tuned {verdict(means[1].min() >= 0.935, '>= .935')}, ",
        end="",
    )
    print(f"time {verdict(max(cpu_s) <= 40, '<= 40 CPU s')}; {known.shape[1]} known devices")


def tuned_ms(bench: Benchmark, net: LatencyNet, name: str) -> Array:
    """Return what the net predicts after it was tuned on the ten references."""
    device = bench.devices[name]
    return net.tuned(bench.inputs[bench.references], device).predict_ms(bench.inputs, device)


def verdict(kept: bool, rule: str) -> str:
    """Say whether a rule is kept."""
    return f"{rule}: {'yes' if kept else 'NO'}"


def doubts(bench: Benchmark) -> None:
    """Print how often latencies lie within the doubt."""
    heading("Share of cells within one and two standard deviations; median relative error")
    errors = {n: np.abs(bench.predicted[n].mean_ms - bench.latency[n]) for n in UNSEEN}
    for number in (1, 2):
        line(f"within {number}", [float((errors[n] <= number * bench.predicted[n].std_ms).mean()) for n in UNSEEN], 2)
    line("median error", [float(np.median(errors[n] / bench.latency[n])) for n in UNSEEN])


def deadlines(bench: Benchmark, nets: Sequence[LatencyNet]) -> None:
    """M5: the most accurate of all cells whose predicted latency keeps a deadline."""
    print("\nDeadlines in ms, 6 devices x 6 quantiles: share of picks > 5 % late; accuracy lost, in points")

    def with_doubt(predict: Callable[[str], Array], share: float = 0.0) -> Callable[[str], Predicted]:
        return lambda name: Predicted(mean := predict(name), share * mean, ("net",) * len(mean))

    def of_net(net: LatencyNet) -> Callable[[str], Array]:
        return lambda name: net.predict_ms(bench.inputs, bench.devices[name])

    shares = []
    for seed, net in zip(SEEDS, nets, strict=True):
        picks(bench, f"net, seed {seed}", with_doubt(of_net(net)), 0)
    for seed, net in zip(SEEDS, nets, strict=True):
        of_seed = with_doubt(of_net(net), MARGIN)
        shares.append(picks(bench, f"net with a margin of {MARGIN:.0%}, seed {seed}", of_seed, 1))
    for seed, net in zip(SEEDS, nets, strict=True):
        picks(bench, f"net tuned on 10, seed {seed}", with_doubt(lambda n, net=net: tuned_ms(bench, net, n)), 0)
    picks(bench, "mixture", bench.predicted.__getitem__, 0)
    picks(bench, "mixture, mean + 0.5 std", bench.predicted.__getitem__, 0.5)
    picks(bench, "mixture, mean + 1 std", bench.predicted.__getitem__, 1)
    picks(bench, "mixture, mean + 2 std", bench.predicted.__getitem__, 2)
    picks(bench, "nearest device", with_doubt(lambda n: bench.scaled(n, bench.latency[bench.nearest(n)])), 0)
    mean = np.mean([bench.devices[k].in_unit(bench.latency[k]) for k in KNOWN], axis=0)
    picks(bench, "mean of 13", with_doubt(lambda n: bench.scaled(n, mean + 1)), 0)
    wrong = dict(zip(UNSEEN, np.random.default_rng(0).permutation(KNOWN), strict=False))
    picks(bench, "a wrong device, rescaled", with_doubt(lambda n: bench.scaled(n, bench.latency[wrong[n]])), 0)
    late, lost = np.mean(shares, axis=0)
    kept = f"{verdict(late <= 0.2, 'late <= .20')}, {verdict(lost <= 0.5, 'lost <= .5')}"
    print(f"net with the margin, mean of 3 seeds: {kept}")


def picks(bench: Benchmark, name: str, predict: Callable[[str], Predicted], safety: float) -> tuple[float, float]:
    """Pick for each device and deadline, and print how many are late and what accuracy is lost."""
    late, lost = [], []
    for device in UNSEEN:
        front, truth = DeviceFront(-bench.accuracy[:, None], predict(device)), bench.latency[device]
        for limit in np.quantile(truth, QUANTILES):
            chosen = front.pick_under(float(limit), safety)
            if chosen is not None:
                late.append(truth[chosen] > LATE * limit)
                lost.append(bench.accuracy[truth <= limit].max() - bench.accuracy[chosen])
    n_none = len(UNSEEN) * len(QUANTILES) - len(late)
    print(f"{name:<34}{np.mean(late):>8.2f}{np.mean(lost):>8.2f}" + (f"   none for {n_none}" if n_none else ""))
    return float(np.mean(late)), float(np.mean(lost))


def unseen_in_a_search(bench: Benchmark) -> None:
    """A device that a search has not seen: its front, and its deadlines, from ten measurements."""
    import evo_moo

    heading(f"Search on three other devices, {N_TRAININGS} trainings: share of the hypervolume that these reach")
    shares, late, lost, late_verified, n_verified = [], [], [], [], []
    seen = ["gold_6240", "pixel3", "1080ti_32"]
    key_of = {bench.problem.architecture_key(c): i for i, c in enumerate(bench.configurations)}
    for seed in SEEDS:
        options = {"devices": seen}
        result = evo_moo.search(
            "nasbench201",
            seed=seed,
            termination=("n_evals", N_TRAININGS),
            workers=1,
            surrogate="none",
            options=options,
        )
        rows = np.array([key_of[bench.problem.architecture_key(e.configuration)] for e in result.evaluations])
        of_seed = []
        for name in UNSEEN:
            truth, predicted = bench.latency[name][rows], bench.predicted[name]
            part = Predicted(predicted.mean_ms[rows], predicted.std_ms[rows], tuple(predicted.by[i] for i in rows))
            front = DeviceFront(-bench.accuracy[rows, None], part)
            F = np.column_stack([-bench.accuracy[rows], np.log(truth)])
            of_all = np.column_stack([-bench.accuracy, np.log(bench.latency[name])])
            low, high = of_all.min(axis=0), of_all.max(axis=0)
            best, by_model = (
                hypervolume((F[each] - low) / (high - low), [1, 1]) for each in (range(len(F)), front.rows)
            )
            of_seed.append(by_model / best)
            for limit in np.quantile(bench.latency[name], QUANTILES):
                one, lost_one = judged(front, rows, bench, name, limit, front.pick_under(limit, 0))
                late.append(one), lost.append(lost_one)
                verified, n = after_verifying(front, truth, limit)
                late_verified.append(judged(verified, rows, bench, name, limit, verified.pick_under(limit, SAFETY))[0])
                n_verified.append(n)
        shares.append(of_seed)
        line(f"seed {seed}", of_seed)
    line("standard deviation over seeds", np.std(shares, axis=0).tolist())
    print(verdict(np.mean(shares) >= 0.95, f"mean share {np.mean(shares):.3f} >= .95"))
    print(f"deadlines among the trainings: {np.mean(late):.3f} > 5 % late, {np.mean(lost):.2f} points lost; ", end="")
    print(
        f"after verifying {np.mean(n_verified):.1f} of at most {N_VERIFIED}: {np.mean(late_verified):.3f} late; ",
        end="",
    )
    print(f"{verdict(np.mean(late) <= 0.2, '<= .20')}, {verdict(np.mean(late_verified) <= 0.05, '<= .05')}")


def judged(
    front: DeviceFront, rows: Array, bench: Benchmark, name: str, limit: float, chosen: int | None
) -> tuple[bool, float]:
    """Return whether a pick is late, and the accuracy that it loses to the best of the trainings that is not."""
    truth, accuracy = bench.latency[name][rows], bench.accuracy[rows]
    if chosen is None:
        return False, 0.0
    best = accuracy[truth <= limit].max(initial=-np.inf)
    return bool(truth[chosen] > LATE * limit), float(best - accuracy[chosen]) if np.isfinite(best) else 0.0


def after_verifying(front: DeviceFront, truth: Array, limit: float) -> tuple[DeviceFront, int]:
    """Measure the networks that decide the pick under a deadline."""
    which = front.worth_measuring_under(limit, SAFETY, N_VERIFIED)
    mean, std, by = front.predicted.mean_ms.copy(), front.predicted.std_ms.copy(), list(front.predicted.by)
    mean[which], std[which] = truth[which], 0.0
    for i in which:
        by[i] = "measured"
    return DeviceFront(front.others, Predicted(mean, std, tuple(by))), len(which)


def this_machine(reference: str = "digits_cnn") -> None:
    """M10: this machine, with torch on one thread, as the unseen device; predicted against measured latencies."""
    problem = load_problem(reference)
    rng = np.random.default_rng(0)
    drawn = [problem.space.decode(problem.space.sample(N_NETWORKS, rng)) for _ in range(N_SAMPLES)]
    every = list({problem.architecture_key(c): c for sample in drawn for c in sample}.values())
    model, unseen = LatencyModel(problem), Deployment("torch")
    device = measure_networks(problem, "here", model.references, unseen)
    rounds = [measure_networks(problem, "here", every, unseen, rounds=1) for _ in range(2)]
    repeated = float(spearmanr(*(each.latencies_ms for each in rounds)).statistic)
    print(f"\n{reference} on this machine by torch: {N_SAMPLES} samples of {N_NETWORKS} networks; ", end="")
    print(f"two rounds of measurements have a rank correlation of {repeated:.3f}", flush=True)
    _print_machine("by the work of the networks", LatencyModel(problem), drawn, device, rounds)
    known = [
        measure_networks(problem, name, [*model.references, *every], deployment, rounds=1)
        for name, deployment in KNOWN_HERE.items()
    ]
    _print_machine(f"and by {', '.join(KNOWN_HERE)} here", LatencyModel(problem, known), drawn, device, rounds)


def _print_machine(
    name: str,
    model: LatencyModel,
    drawn: Sequence[Sequence[Configuration]],
    device: LatencyTable,
    rounds: Sequence[LatencyTable],
) -> None:
    problem, rho, errors, within = model.problem, [], [], []
    for sample in drawn:
        predicted = model.predict(sample, device)
        measured = np.mean([each.column(problem, sample) for each in rounds], axis=0)
        rho.append(float(spearmanr(predicted.mean_ms, measured).statistic))
        errors.append(float(np.median(np.abs(predicted.mean_ms / measured - 1))))
        within.append(float((np.abs(predicted.mean_ms - measured) <= 2 * predicted.std_ms).mean()))
    ranks_of_samples = " ".join(f"{each:.3f}" for each in rho)
    print(f"{name:<40} rank correlation {ranks_of_samples}, {verdict(min(rho) >= 0.8, '>= .8')}; ", end="")
    print(f"median error {np.mean(errors):.1%}; within 2 std {np.mean(within):.2f}", flush=True)


def main() -> None:
    """Print all comparisons."""
    this_machine()
    if find_data("nasbench201.npz", None) is None:
        print("NAS-Bench-201 is left out: EVO_MOO_DATA names no folder with nasbench201.npz")
    else:
        with one_thread():
            bench = Benchmark()
            nets, cpu_s = [], []
            for seed in SEEDS:
                start = time.process_time()
                nets.append(bench.net(seed))
                cpu_s.append(time.process_time() - start)
            ranks(bench, nets, cpu_s)
            doubts(bench)
            deadlines(bench, nets)
            unseen_in_a_search(bench)


if __name__ == "__main__":
    main()
