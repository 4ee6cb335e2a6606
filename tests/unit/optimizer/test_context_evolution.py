from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.metrics import Metric
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Real


class Opposites(SearchProblem):
    """What is fast on one device is slow on the other."""

    variables = {"x": Real(0, 1), "y": Real(0, 1)}
    objectives = {"error": "min", "ms": "min"}
    contexts = {"device": ["left", "right"]}
    metrics = {"ms": Metric("ms", by_context=True)}

    def evaluate(self, config):
        x, y = config["x"], config["y"]
        return {"error": y, "ms": {"left": x + (1 - y), "right": (1 - x) + (1 - y)}}


def x_of_population(n_evals=120):
    problem, rows = Opposites(), {}
    optimizer = Optimizer(problem, pop_size=10, seed=1)
    while optimizer.n_asked < n_evals:
        for candidate in optimizer.ask():
            rows[candidate.id] = candidate.configuration["x"]
            optimizer.tell(candidate, problem.evaluate(candidate.configuration))
    return [rows[key] for key in optimizer.population_ids()]


def test_each_context_keeps_a_population_of_its_own():
    x = x_of_population()
    assert 10 < len(x) <= 20 and sum(value < 0.3 for value in x) >= 5 and sum(value > 0.7 for value in x) >= 5
