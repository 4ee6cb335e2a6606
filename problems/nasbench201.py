"""NAS-Bench-201: 15,625 cells whose trainings were done once and for all, looked up in a table.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020. A table of
your own copy of the official files is made with their package, ``pip install nats_bench``, which reads pickles:

    from nats_bench import create
    from evo_moo.problems.nasbench201 import write_table

    write_table(create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True), "nasbench201.npz")
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.errors import ProblemError
from evo_moo.problem import Configuration, Fidelity, Goals, Metric, SearchProblem
from evo_moo.problem.contexts import at
from evo_moo.space import Choice
from evo_moo.toolkit.data_files import digest, find_data

Array = npt.NDArray[np.float64]
OPS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
EDGES = ["0>1", "0>2", "1>2", "0>3", "1>3", "2>3"]
DATASETS = ["cifar10", "cifar100", "ImageNet16-120"]
SHAPE = (len(OPS),) * len(EDGES)
CELLS = np.array(list(np.ndindex(SHAPE)))
COLUMNS = ("ops", "edges", "datasets", "arch", "test_acc_12", "test_acc_200", "params_m", "flops_m", "devices")
USUAL_DEVICE = "gold_6226"
NAMES = [f"edge_{edge.replace('>', '')}" for edge in EDGES]
REFERENCES = [
    dict(zip(NAMES, (OPS[int(op)] for op in cell), strict=True))
    for cell in ["401211", "310001", "114010", "400103", "020322", "121203", "341024", "132433", "401024", "333333"]
]
"""The cells that Lee et al. (HELP, NeurIPS 2021) measure on a new device; each digit is the operation of an edge."""


class NASBench201(SearchProblem):
    """One of five operations on each of a cell's six edges; accuracy after 200 epochs against latency.

    Without a file, by option or as ``nasbench201.npz`` in the folder EVO_MOO_DATA, it searches a made-up table of the
    same cells, for demonstration: its accuracies and latencies are those of no network.

    Args:
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
        devices: Names of one or several devices; several are the contexts of one search, with a front for each. By
            default gold_6226, or else the table's first.
        data: The table's file.

    Raises:
        ProblemError: There is no such file, data set or device.
    """

    fidelity = Fidelity("epochs", 12, 200)
    variables = {name: Choice(OPS) for name in NAMES}

    reference_configurations = REFERENCES

    def __init__(
        self, dataset: str = "cifar10", devices: str | Sequence[str] | None = None, data: str | None = None
    ) -> None:
        path = find_data("nasbench201.npz", data)
        table = read_table(path) if path else made_up_table()
        self.version = digest(path) if path else "made up"
        known = [str(device) for device in table["devices"]]
        devices = devices or (USUAL_DEVICE if USUAL_DEVICE in known else known[0])
        devices = [devices] if isinstance(devices, str) else list(devices)
        names = [str(name) for name in table["datasets"]]
        for option, values, there in (("dataset", [dataset], names), ("devices", devices, known)):
            if unknown := [value for value in values if value not in there]:
                raise ProblemError(f"`{option}` must be of {', '.join(there)}, but is {unknown[0]!r}")
        column = names.index(dataset)
        row_of = np.empty(len(CELLS), dtype=int)
        row_of[np.ravel_multi_index(table["arch"].astype(int).T, SHAPE)] = np.arange(len(CELLS))
        self.contexts = {"device": devices} if len(devices) > 1 else {}
        latencies = {at("latency_ms", d) if self.contexts else "latency_ms": known.index(d) for d in devices}
        self._cheap = {name: table["latency_ms"][row_of, k].astype(float) for name, k in latencies.items()}
        self._cheap |= {name: table[name][row_of, column].astype(float) for name in ("params_m", "flops_m")}
        self._accuracy = {n: table[f"test_acc_{n}"][row_of, column].astype(float) for n in (12, 200)}
        self.objectives = {"accuracy": "max", "latency_ms": "min"}
        label = f"test accuracy on {dataset} after 200 epochs" if path else "made up, for demonstration"
        of_devices = f"forward pass on {', '.join(devices)}" if path else label
        self.metrics = {
            "accuracy": Metric("%", label),
            "latency_ms": Metric("ms", of_devices, log=True, cheap=True, by_context=bool(self.contexts)),
            "params_m": Metric("million", "trainable parameters", log=True, cheap=True),
            "flops_m": Metric("million", "operations of one forward pass of one image", log=True, cheap=True),
        }

    def compute(self, config: Configuration) -> dict[str, float]:
        """Look up what needs no training."""
        row = self._row(config)
        return {name: float(values[row]) for name, values in self._cheap.items()}

    def evaluate(self, config: Configuration, *, fidelity: int | None = None) -> dict[str, float]:
        """Look up the accuracy after ``fidelity`` epochs: 12, trained as such, or 200, the default."""
        if fidelity not in (None, *self._accuracy):
            raise ProblemError(f"`fidelity` must be one of {', '.join(map(str, self._accuracy))}, but is {fidelity}")
        return {"accuracy": float(self._accuracy[fidelity or 200][self._row(config)])}

    def pareto_front(self, goals: Goals | None = None, **options: Any) -> Array | None:
        """Return the exact front of any goals over the table, ``(n, n_obj)`` array, minimised."""
        return (goals or self.goals).front_of({"accuracy": self._accuracy[200], **self._cheap})

    def _row(self, config: Configuration) -> int:
        return int(np.ravel_multi_index([OPS.index(config[name]) for name in self.variables], SHAPE))


def read_table(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    """Read a table, as ``write_table`` writes it.

    Raises:
        ProblemError: It is none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            table = {name: file[name] for name in (*COLUMNS, "latency_ms")}
    except (OSError, ValueError, KeyError) as error:
        raise ProblemError(f"`{path}` must be a table of NAS-Bench-201, but cannot be read: {error}") from error
    if table["ops"].tolist() != OPS or table["edges"].tolist() != EDGES or len(table["arch"]) != len(CELLS):
        raise ProblemError(f"`{path}` must hold all 15,625 cells of {', '.join(OPS)}, but does not; import it anew")
    return table


def write_table(api: Any, path: str | Path) -> None:
    """Write the table of an API object of ``nats_bench``'s topology space; the one device is called ``nats_bench``.

    Args:
        api: What ``nats_bench.create(…, "tss")`` gives.
        path: The file to write, ``….npz``.
    """
    cells = [[part.partition("~")[0] for part in text.replace("+", "").split("|") if part] for text in api.meta_archs]
    accuracy: dict[str, Any] = {}
    for epochs in ("12", "200"):
        rows = [[api.get_more_info(i, d, hp=epochs, is_random=False) for d in DATASETS] for i in range(len(cells))]
        accuracy[f"test_acc_{epochs}"] = np.array([[info["test-accuracy"] for info in row] for row in rows])
    cost = [[api.get_cost_info(i, d) for d in DATASETS] for i in range(len(cells))]
    np.savez_compressed(
        path,
        ops=OPS,
        edges=EDGES,
        datasets=DATASETS,
        arch=np.array([[OPS.index(op) for op in cell] for cell in cells]),
        params_m=np.array([[one["params"] for one in row] for row in cost]),
        flops_m=np.array([[one["flops"] for one in row] for row in cost]),
        devices=["nats_bench"],
        latency_ms=np.array([[1000 * row[0]["latency"]] for row in cost]),
        **accuracy,
    )


def made_up_table() -> Mapping[str, npt.NDArray[Any]]:
    """Make a table of the true cells and sizes, but with accuracies and latencies of a formula."""
    rng = np.random.default_rng(201)
    quality = np.array([0.0, 0.45, 0.75, 1.0, 0.4])[CELLS]
    paths = [(3,), (0, 4), (1, 5), (0, 2, 5)]
    signal = sum(quality[:, path].prod(axis=1) * len(path) for path in map(list, paths)) / 8
    n_1x1, n_3x3 = (np.equal(CELLS, op).sum(axis=1) for op in (2, 3))
    final = np.where(signal > 0, 94 - 24 * np.exp(-4 * signal), 10)
    early = np.where(signal > 0, final - 12 * (1 - signal) - rng.gamma(2.0, 1.5, len(CELLS)), 10)
    times = np.array([[0.0, 0.2, 1.5, 2.6, 0.9], [0.0, 0.1, 0.8, 0.9, 0.7]])
    latency = np.stack([2 + per[CELLS].sum(axis=1) for per in times], axis=1)
    harder = np.array([0, 22, 48]) * (final > 10)[:, None]
    return {
        "ops": np.array(OPS),
        "edges": np.array(EDGES),
        "datasets": np.array(DATASETS),
        "arch": CELLS,
        "test_acc_12": np.maximum(early[:, None] - harder, 1),
        "test_acc_200": final[:, None] - harder + rng.normal(0, 0.25, (len(CELLS), 1)),
        "params_m": np.tile((0.0733 + 0.0280 * n_1x1 + 0.2430 * n_3x3)[:, None], 3),
        "flops_m": (7.78 + 3.93 * n_1x1 + 35.4 * n_3x3)[:, None] * [1, 1, 0.25],
        "devices": np.array(["made_up_cpu", "made_up_gpu"]),
        "latency_ms": latency * rng.normal(1, 0.02, (len(CELLS), 2)),
    }
