"""Real trainings of small networks on scikit-learn's digits, all of a conditional space, tabulated once.

Run: python -m tests.benchmarks.search.digits FOLDER
"""

import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.space.variables import Choice, Integer

WIDTHS = [8, 24, 72]
RATES = {"sgd": [0.01, 0.05, 0.25], "adam": [0.001, 0.005, 0.025]}
VARIABLES = {
    "n_layers": Integer(1, 3),
    "width_1": Choice(WIDTHS, ordered=True),
    "width_2": Choice(WIDTHS, ordered=True, when={"n_layers": [2, 3]}),
    "width_3": Choice(WIDTHS, ordered=True, when={"n_layers": [3]}),
    "activation": Choice(["relu", "tanh"]),
    "optimiser": Choice(list(RATES)),
    "rate": Choice(["low", "middle", "high"], ordered=True),
    "weight_decay": Choice([0.0, 0.01], ordered=True),
    "dropout": Choice([0.0, 0.3], ordered=True),
}
EPOCHS, BATCH_SIZE, N_CLASSES = 15, 64, 10


def cells() -> Iterator[dict[str, Any]]:
    """Give every configuration, in a fixed order."""
    shared = [name for name in VARIABLES if not name.startswith(("n_layers", "width"))]
    for n_layers in (1, 2, 3):
        names = ["n_layers", *(f"width_{i}" for i in range(1, n_layers + 1)), *shared]
        options = [[n_layers], *(VARIABLES[name].options for name in names[1:])]
        for values in itertools.product(*options):
            yield dict(zip(names, values, strict=True))


def key(configuration: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give a configuration as something to look up."""
    return tuple(configuration.get(name) for name in VARIABLES)


def widths(configuration: Mapping[str, Any]) -> list[int]:
    """Give the widths of the hidden layers."""
    return [configuration[f"width_{i}"] for i in range(1, configuration["n_layers"] + 1)]


def n_parameters(configuration: Mapping[str, Any]) -> int:
    """Count weights and biases."""
    sizes = [64, *widths(configuration), N_CLASSES]
    return sum((before + 1) * after for before, after in itertools.pairwise(sizes))


def error(configuration: Mapping[str, Any]) -> float:
    """Train on one half of the digits and give the error on the other, in %."""
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    X, y = load_digits(return_X_y=True)
    X, y = torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)
    mixed = torch.randperm(len(X))
    training, held_out = mixed[: len(X) // 2], mixed[len(X) // 2 :]
    layers: list[nn.Module] = []
    size = X.shape[1]
    for width in widths(configuration):
        activation = nn.ReLU() if configuration["activation"] == "relu" else nn.Tanh()
        layers += [nn.Linear(size, width), activation, nn.Dropout(configuration["dropout"])]
        size = width
    network = nn.Sequential(*layers, nn.Linear(size, N_CLASSES))
    rates = RATES[configuration["optimiser"]]
    settings: dict[str, Any] = {"lr": rates[VARIABLES["rate"].options.index(configuration["rate"])]}
    settings["weight_decay"] = configuration["weight_decay"]
    if configuration["optimiser"] == "adam":
        optimiser: torch.optim.Optimizer = torch.optim.AdamW(network.parameters(), **settings)
    else:
        optimiser = torch.optim.SGD(network.parameters(), momentum=0.9, **settings)
    for _ in range(EPOCHS):
        for rows in training[torch.randperm(len(training))].split(BATCH_SIZE):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(X[rows]), y[rows]).backward()
            optimiser.step()
    network.eval()
    with torch.no_grad():
        wrong = (network(X[held_out]).argmax(dim=1) != y[held_out]).float().mean()
    return 100 * float(wrong)


def table(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give the ``(n,)`` errors in % and numbers of parameters of all cells, computed where the folder lacks them."""
    path = folder / "digits.npy"
    if not path.exists():
        from joblib import Parallel, delayed

        folder.mkdir(parents=True, exist_ok=True)
        found = Parallel(n_jobs=os.cpu_count())(delayed(error)(cell) for cell in cells())
        partial = folder / f"digits-{os.getpid()}.npy"
        np.save(partial, np.array(found))
        partial.replace(path)
    return np.load(path, allow_pickle=False), np.array([n_parameters(cell) for cell in cells()], dtype=float)


if __name__ == "__main__":
    errors, _ = table(Path(sys.argv[1]))
    print(f"{len(errors)} cells, errors from {errors.min():.2f} to {errors.max():.2f} %")
