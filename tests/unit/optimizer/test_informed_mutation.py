import logging

import pytest

from evo_moo.optimizer.informed_mutation import INFORMED, LEAST, Credit
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Choice
from evo_moo.storage.checkpoint import from_json, to_json


class Parts(SearchProblem):
    """The best cell of a size has only "b"s beside its "none"s; the informed mutation knows so, or knows nothing."""

    variables = {f"op_{i}": Choice(["none", "a", "b", "c"]) for i in range(12)}
    objectives = {"error": "min", "size": "min"}
    good = True

    def evaluate(self, config):
        ops = list(config.values())
        return {"error": 12.0 - ops.count("b") - 0.3 * ops.count("a"), "size": 12.0 - ops.count("none")}

    def mutate(self, config, *, weights, context, rng):
        assert context == "" and sum(weights.values()) == pytest.approx(1.0)
        name = rng.choice(list(config))
        better = "b" if rng.random() < weights["error"] else "none"
        return config | {str(name): better if self.good else "c"}


class Bad(Parts):
    good = False


class Failing(Parts):
    def mutate(self, config, **circumstances):
        raise ValueError("no file of it")


def searched(problem, n_evals=400):
    optimizer, origins, errors = Optimizer(problem, pop_size=20, seed=1), [], []
    while optimizer.n_asked < n_evals:
        for candidate in optimizer.ask():
            metrics = problem.evaluate(candidate.configuration)
            origins.append(candidate.origin)
            errors.append(sum(metrics.values()))
            optimizer.tell(candidate, metrics)
    return optimizer, origins, errors


def test_good_mutation_is_used_and_finds_more():
    problem = Parts()
    assert problem.mutates
    _, origins, own = searched(problem)
    assert origins.count(INFORMED) > 80 and origins.count("mating") > 20
    assert sum(own[-100:]) < sum(searched(type("Plain", (Parts,), {"mutate": SearchProblem.mutate})())[2][-100:])


def test_bad_mutation_is_switched_off():
    _, origins, _ = searched(Bad(), 480)
    assert origins[:180].count(INFORMED) > 10 and origins[180:].count(INFORMED) < 12


def test_mutation_that_fails_is_said_once_and_replaced(caplog):
    with caplog.at_level(logging.WARNING, "evo_moo"):
        _, origins, _ = searched(Failing(), 100)
    assert INFORMED not in origins and len(caplog.records) == 1 and "no file of it" in caplog.text


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_loaded_search_remembers_what_the_mutations_were_worth(mode):
    problem = Parts()
    first, second = (Optimizer(problem, pop_size=8, seed=3, mode=mode) for _ in range(2))
    for candidate in (c for _ in range(60) for c in first.ask(1)):
        first.tell(candidate, problem.evaluate(candidate.configuration))
    second.load(from_json(to_json(first.dump())))
    for optimizer in (first, second):
        optimizer.rows = []
        while len(optimizer.rows) < 60:
            for candidate in optimizer.ask(1):
                optimizer.rows.append((candidate.origin, candidate.configuration))
                optimizer.tell(candidate, problem.evaluate(candidate.configuration))
    assert first.rows == second.rows and any(origin == INFORMED for origin, _ in first.rows)


def test_share_follows_what_children_are_worth():
    credit = Credit()
    assert credit.share == pytest.approx(0.3)
    credit.learn([(INFORMED, True), ("mating", False), ("sample", True)] * 20)
    assert credit.share > 0.7
    credit.learn([(INFORMED, False), ("mating", True)] * 40)
    assert credit.share == LEAST
