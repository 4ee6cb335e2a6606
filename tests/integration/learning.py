"""A problem whose trainings report how they go."""

import evo_moo
from evo_moo import Choice, Fidelity, Metric, Real


class Learning(evo_moo.SearchProblem):
    """The loss falls towards what the configuration can reach, at a speed that depends on it; all in a millisecond."""

    variables = {"a": Real(0, 1), "b": Real(0, 1), "size": Choice(list(range(1, 41)), ordered=True)}
    objectives = {"loss": "min", "size": "min"}
    metrics = {"size": Metric(cheap=True), "steps_here": Metric()}
    fidelity = Fidelity("epochs", 1, 9)

    def profile(self, config):
        return {"size": config["size"]}

    def evaluate(self, config, *, seed, fidelity, weights, report):
        done = int((weights.previous / "done").read_text()) if weights.previous else 0
        reached = (config["a"] - 0.3) ** 2 + 1 / config["size"]
        for epoch in range(done + 1, fidelity + 1):
            loss = reached + (1 + config["b"]) / epoch**2 - (1 + config["b"]) / 81 + seed % 10 / 1e4
            report(epoch, {"loss": loss})
        if weights.own is not None:
            weights.own.mkdir(parents=True, exist_ok=True)
            (weights.own / "done").write_text(str(fidelity))
        return {"loss": loss, "steps_here": fidelity - done}
