import numpy as np
import pytest

from evo_moo.errors import ProblemError
from evo_moo.plugins import load_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.toolkit.devices.references import references


class Nets(SearchProblem):
    variables = {
        "depth": Integer(1, 3),
        "width": Integer(4, 64, log=True),
        "kernel_2": Choice([1, 3, 5], ordered=True, when={"depth": [2, 3]}),
        "lr": Real(0.01, 1),
    }
    architecture = ["depth", "width", "kernel_2"]
    objectives = {"latency_ms": "min"}

    def compute(self, config):
        return {"n_params": config["width"] * (1 + config.get("kernel_2", 0)) * config["depth"]}


def test_references_are_ten_architectures_always_the_same():
    problem = Nets()
    chosen = references(problem)
    assert len({problem.architecture_key(config) for config in chosen}) == 10
    assert chosen == references(Nets())
    problem.space.encode(chosen)
    assert {config["lr"] for config in chosen} == {0.01}


def test_references_do_not_change_with_variables_of_the_training():
    class Longer(Nets):
        variables = {"dropout": Real(0.0, 0.5), **Nets.variables, "epochs": Integer(1, 9)}

    keys = [[problem.architecture_key(c) for c in references(problem)] for problem in (Nets(), Longer())]
    assert keys[0] == keys[1]


def test_references_include_the_smallest_and_the_largest():
    chosen = references(Nets())
    assert chosen[0] == {"depth": 1, "width": 4, "lr": 0.01}
    assert chosen[-1] == {"depth": 3, "width": 64, "kernel_2": 5, "lr": 0.01}
    sizes = [Nets().compute(config)["n_params"] for config in chosen]
    assert sizes == sorted(sizes) and np.median(sizes) < sizes[-1] / 2


def test_problems_without_a_size_have_references_too():
    class Bare(SearchProblem):
        variables = {"width": Integer(1, 50), "depth": Integer(1, 5)}
        objectives = {"latency_ms": "min"}

    chosen = references(Bare())
    assert chosen[0] == {"width": 1, "depth": 1} and chosen[-1] == {"width": 50, "depth": 5}


def test_references_keep_forbidden_rules():
    class Ruled(Nets):
        forbidden = {"too large": lambda config: config["width"] * config["depth"] > 64}

    assert all(config["width"] * config["depth"] <= 64 for config in references(Ruled()))


def test_a_problem_may_name_its_references():
    chosen = references(load_problem("nasbench201"))
    assert len(chosen) == 10
    assert set(chosen[9].values()) == {"nor_conv_3x3"}


def test_too_few_architectures_are_refused():
    class Small(SearchProblem):
        variables = {"a": Boolean(), "b": Boolean()}
        objectives = {"latency_ms": "min"}

    with pytest.raises(ProblemError, match="must have 10 different reference networks, but has 4"):
        references(Small())


def test_latencies_of_choices_after_the_training_are_refused():
    class Compressed(Nets):
        post_training = {"precision": Choice(["float32", "int8"])}
        architecture = [*Nets.architecture, "precision"]

    with pytest.raises(ProblemError, match="must not depend on choices after the training"):
        references(Compressed())
