"""Problems as a user would write them, in a file outside the package with a helper beside it."""

import json
import math
import os
import signal
import time
from pathlib import Path

from filelock import FileLock
from landscape import valley

from evo_moo import Choice, Fidelity, Integer, Ordering, Real, SearchProblem, Simplex, Subset


class Small(SearchProblem):
    """Deterministic, conditional and limited; some evaluations fail."""

    variables = {
        "x": Real(0, 1),
        "rate": Real(1e-4, 1e-1, log=True),
        "n": Integer(1, 8),
        "kind": Choice(["plain", "bent"]),
        "bend": Real(0, 2, when={"kind": "bent"}),
    }
    objectives = {"loss": "min", "speed": "max"}
    constraints = {"size": {"at_most": 7}}

    def __init__(self, failing: bool = True) -> None:
        self.failing = failing

    def profile(self, config):
        return {"size": config["n"] + (config["kind"] == "bent")}

    def evaluate(self, config, *, seed):
        if self.failing and 0.45 < config["x"] < 0.6:
            raise ArithmeticError("no solution here")
        noise = (seed % 1000) / 1e6
        loss = valley(config["x"], config["n"]) + abs(math.log10(config["rate"]) + 2) + noise
        return {"loss": loss - config.get("bend", 0) * 0.1, "speed": 1 / config["n"] + config["x"]}


class KillsItsRun(Small):
    """Kills the main process when an evaluation begins whose turn has come; the turns are lines of a file.

    Each turn is taken once: a worker that has outlived its run, or that comes while another one kills, takes none.
    """

    def __init__(self, turns: str = "", signal_name: str = "SIGKILL") -> None:
        super().__init__()
        self.turns, self.signal_name = Path(turns), signal_name

    def evaluate(self, config, *, seed, workspace):
        run = json.loads((workspace.parents[1] / "writer.json").read_text())["pid"]
        with FileLock(self.turns.with_suffix(".lock")):
            turns = [float(line) for line in self.turns.read_text().split()]
            if turns and config["x"] > turns[0] and os.getppid() == run:
                self.turns.write_text("\n".join(map(str, turns[1:])))
                os.kill(run, getattr(signal, self.signal_name))
                time.sleep(60)
        return super().evaluate(config, seed=seed)


class KillsItsLadder(Small):
    """Kills the main process after the training on a rung whose turn has come, before anybody knows of its outcome.

    The turns are fidelities. How many steps it trained here it says as a metric: too many if saved weights were lost.
    """

    fidelity = Fidelity("steps", 1, 9)

    def __init__(self, turns: str = "") -> None:
        super().__init__()
        self.turns = Path(turns)

    def evaluate(self, config, *, seed, fidelity, weights):
        run = json.loads((weights.own or weights.previous).parents[1].joinpath("writer.json").read_text())["pid"]
        done = int((weights.previous / "done").read_text()) if weights.previous else 0
        metrics = super().evaluate(config, seed=seed)
        if weights.own is not None:
            weights.own.mkdir(parents=True, exist_ok=True)
            (weights.own / "done").write_text(str(fidelity))
        with FileLock(self.turns.with_suffix(".lock")):
            turns = self.turns.read_text().split()
            if turns and fidelity == int(turns[0]) and os.getppid() == run:
                self.turns.write_text(" ".join(turns[1:]))
                os.kill(run, signal.SIGKILL)
                time.sleep(60)
        return metrics | {"loss": metrics["loss"] + seed % 5 / fidelity, "steps_here": fidelity - done}


class Faulty(SearchProblem):
    """Fails in the way that the configuration says."""

    variables = {
        "way": Choice(["good", "raises", "nan", "text", "missing", "exits", "dies", "hangs", "stuck", "prints"]),
        "x": Real(0, 1),
    }
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config):
        x = config["x"]
        match config["way"]:
            case "raises":
                raise RuntimeError("as asked")
            case "nan":
                return {"a": math.nan, "b": x}
            case "text":
                return {"a": "small", "b": x}
            case "missing":
                return {"a": x}
            case "exits":
                raise SystemExit(3)
            case "dies":
                os._exit(9)
            case "hangs":
                time.sleep(3600)
            case "stuck":
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
                time.sleep(3600)
            case "prints":
                print("chatter " * 10_000, flush=True)
        return {"a": x, "b": 1 - x}


class KillsItsScheduler(Small):
    """Kills the process named by a file, once, in the middle of the run."""

    def __init__(self, pid_file: str) -> None:
        super().__init__()
        self.pid_file = Path(pid_file)

    def evaluate(self, config, *, seed):
        if config["x"] > 0.9 and self.pid_file.exists():
            pid = int(self.pid_file.read_text())
            self.pid_file.unlink()
            os.kill(pid, signal.SIGKILL)
        return super().evaluate(config, seed=seed)


class Steady(Small):
    """Takes some milliseconds for each evaluation, so that a kill finds some under way."""

    objectives = {"loss": "min", "speed": "max", "rate": "min"}

    def evaluate(self, config, *, seed):
        time.sleep(0.004 + seed % 1000 / 1000 * 0.02)
        return super().evaluate(config, seed=seed) | {"rate": config["rate"]}


class Climbing(Steady):
    """Trains longer on higher rungs, from saved weights, and says where they lie in a text beside its metrics."""

    fidelity = Fidelity("epochs", 1, 4)

    def evaluate(self, config, *, seed, fidelity, weights):
        metrics = super().evaluate(config, seed=seed)
        if weights.own is not None:
            weights.own.mkdir(parents=True, exist_ok=True)
            (weights.own / "epochs").write_text(str(fidelity))
        begun = int((weights.previous / "epochs").read_text()) if weights.previous else 0
        return metrics | {"loss": metrics["loss"] + seed % 5 / fidelity, "from": f"epoch {begun}"}


class Gated(Small):
    """Says that an evaluation has begun, and holds on until it is let go, for as long as there is a gate."""

    def __init__(self, folder: str) -> None:
        super().__init__(failing=False)
        self.folder = Path(folder)

    def evaluate(self, config, *, seed):
        if (self.folder / "closed").exists():
            with (self.folder / "begun").open("w") as file:
                file.write(f"{os.getpid()}\n")
            (self.folder / "gate").read_text()
        return super().evaluate(config, seed=seed)


class KillsItsRunOfParts(KillsItsRun):
    """Has a subset, an ordering, a round trip and shares beside the rest."""

    variables = {
        **Small.variables,
        "features": Subset(["a", "b", "c", "d"], at_least=1, at_most=3),
        "order": Ordering(["p", "q", "r"]),
        "tour": Ordering([1, 2, 3, 4, 5], tour=True, when={"kind": "bent"}),
        "mix": Simplex(["web", "code", "books"], at_least=0.05),
    }

    def evaluate(self, config, *, seed, workspace):
        metrics = super().evaluate(config, seed=seed, workspace=workspace)
        more = len(config["features"]) * config["mix"]["web"] + config["order"].index("p")
        return {"loss": metrics["loss"] + more + config.get("tour", [0, 1])[1], "speed": metrics["speed"]}
