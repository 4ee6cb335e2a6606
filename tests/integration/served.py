"""A problem whose trainings offer six models each, one of which can sometimes not be made."""

from evo_moo import Choice, Fidelity, Metric, Point, Real, SearchProblem


class Served(SearchProblem):
    """A wide network is accurate and large; what is left out after the training makes both less."""

    variables = {"width": Real(0, 1), "rate": Real(0, 1)}
    post_training = {"precision": Choice(["float32", "int8"]), "sparsity": Real(0, 0.9)}
    objectives = {"error": "min", "size": "min"}
    constraints = {"error": {"at_most": 0.9}}
    metrics = {"error": Metric(noisy=True)}

    def evaluate(self, config, *, seed):
        width, rate = config["width"], config["rate"]
        if rate > 0.95:
            raise ArithmeticError("the rate is too high")
        points = []
        for precision, share in (("float32", 1.0), ("int8", 0.25)):
            for sparsity in (0.0, 0.4, 0.8):
                choices = {"precision": precision, "sparsity": sparsity}
                if precision == "int8" and sparsity == 0.8 and width < 0.2:
                    points.append(Point(choices, fault="a narrow network cannot lose so much"))
                    continue
                error = 0.1 + (1 - width) ** 2 / 2 + (rate - 0.3) ** 2 + sparsity ** (2 + width) / 4 + 0.02 / share
                size = (0.1 + width) * share * (1 - sparsity)
                points.append(Point(choices, {"error": error + seed % 1000 / 1e6, "size": size}))
        return points


class ServedLadder(Served):
    """The same, and more accurate with every step."""

    fidelity = Fidelity("steps", 1, 9)

    def evaluate(self, config, *, seed, fidelity):
        points = super().evaluate(config, seed=seed)
        return [
            p if p.fault else p._replace(metrics=p.metrics | {"error": p.metrics["error"] + 0.3 / fidelity})
            for p in points
        ]
