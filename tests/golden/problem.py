"""The problem of the golden run folders; to change anything here would make them another problem's.

Every variable is a grid or rounded, and all arithmetic is exact in the same way everywhere, so that a run begun on
one machine goes on on any other.
"""

from evo_moo import Choice, Integer, Real, SearchProblem


class Golden(SearchProblem):
    """Deterministic, conditional and limited; some evaluations fail."""

    variables = {
        "rate": Real(1e-4, 1e-1, log=True),
        "depth": Integer(1, 40),
        "n": Integer(1, 8),
        "kind": Choice(["plain", "bent"]),
        "bend": Integer(0, 20, when={"kind": "bent"}),
    }
    objectives = {"loss": "min", "speed": "max"}
    constraints = {"size": {"at_most": 7}}

    def profile(self, config):
        return {"size": config["n"] + (config["kind"] == "bent")}

    def evaluate(self, config, *, seed):
        if 18 <= config["depth"] <= 23:
            raise ArithmeticError("no solution here")
        excess = (config["depth"] / 40 - 0.3) ** 2 * config["n"] + abs(config["rate"] - 0.01)
        return {
            "loss": excess - config.get("bend", 0) / 200 + (seed % 1000) / 1e6,
            "speed": 1 / config["n"] + config["depth"] / 40,
        }
