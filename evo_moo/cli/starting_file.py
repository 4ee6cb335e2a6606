"""The file that ``evo-moo new`` writes: a problem that runs as it is."""

from pathlib import Path

from evo_moo.errors import UsageError

_TEXT = '''"""What is searched, and how one configuration is evaluated.

    evo-moo check {file}:{name}
    evo-moo run {file}:{name} --n-evals 100
"""

import numpy as np

from evo_moo import Choice, Integer, Metric, Real, SearchProblem


class {name}(SearchProblem):
    # Names to Real, Integer, Choice or Boolean; `when` makes one depend on others.
    variables = {{
        "n_features": Integer(2, 200, log=True),
        "activation": Choice(["tanh", "sine"]),
        "frequency": Real(0.1, 10, log=True, when={{"activation": "sine"}}),
        "ridge": Real(1e-8, 1, log=True),
    }}
    # Which metrics are minimised or maximised, and hard limits; a job file may choose others.
    objectives = {{"error": "min", "n_params": "min"}}
    constraints = {{"n_params": {{"at_most": 150}}}}
    # What is known of the metrics besides; only what needs saying.
    metrics = {{"error": Metric(log=True, noisy=True), "n_params": Metric(cheap=True)}}

    # Keyword arguments are options: --option n_samples=500
    def __init__(self, n_samples: int = 200):
        rng = np.random.default_rng(0)
        self.x = rng.uniform(-3, 3, (2, n_samples, 1))  # training and validation
        self.y = np.sin(3 * self.x) / (1 + self.x**2) + rng.normal(0, 0.02, self.x.shape)

    # Optional: cheap metrics first. What they show to be over a limit is not evaluated further.
    def profile(self, config):
        return {{"n_params": config["n_features"]}}

    # May also name `workspace` (a folder of its own) and `fidelity`; `seed` decides every random choice.
    def evaluate(self, config, *, seed):
        rng = np.random.default_rng(seed)
        weight, bias = rng.normal(0, 2, (2, 1, config["n_features"]))
        function = np.tanh if config["activation"] == "tanh" else lambda z: np.sin(config["frequency"] * z)
        train, validation = (function(x * weight + bias) for x in self.x)
        normal = train.T @ train + config["ridge"] * np.eye(config["n_features"])
        solution = np.linalg.solve(normal, train.T @ self.y[0])
        return {{"error": np.sqrt(np.mean((validation @ solution - self.y[1]) ** 2))}}
'''


def write_starting_file(path: Path) -> str:
    """Write a new problem file and return the name of the class.

    Raises:
        UsageError: The file exists, is no Python file, or cannot be written.
    """
    name = "".join(part.capitalize() for part in path.stem.split("_"))
    if path.suffix != ".py" or not name.isidentifier():
        raise UsageError(f"a problem file must be named like my_problem.py, but is named {path.name!r}")
    try:
        with path.open("x") as file:
            file.write(_TEXT.format(file=path.name, name=name))
    except FileExistsError:
        raise UsageError(f"`{path}` must be a new file, but exists; name another") from None
    except OSError as error:
        raise UsageError(f"`{path}` must be writable, but is not: {error.strerror}") from error
    return name
