"""What every search with surrogates keeps, whatever its space."""

import json

import numpy as np
import pytest
from pymoo.problems import get_problem

from evo_moo.errors import SurrogateError
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.pareto import hypervolume
from evo_moo.plugins import load_surrogate
from evo_moo.problem.function_problem import FunctionProblem
from evo_moo.problem.metrics import Metric
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.kinds.ordering import Ordering
from evo_moo.space.kinds.simplex import Simplex
from evo_moo.space.kinds.subset import Subset
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.storage.checkpoint import from_json, to_json

pytestmark = pytest.mark.slow


class Mixed(SearchProblem):
    """Conditional and limited; a corner of the space fails, and large ones are not evaluated."""

    variables = {
        "n": Integer(1, 3),
        "lr": Real(1e-4, 1, log=True),
        "act": Choice(["relu", "gelu", "tanh"]),
        "width": Integer(4, 64, log=True, when={"n": [2, 3]}),
        "skip": Boolean(when={"act": "gelu"}),
    }
    objectives = {"accuracy": "max", "size": "min"}
    constraints = {"size": {"at_most": 100}}

    def evaluate(self, config):
        if config["lr"] > 0.5:
            return None
        size = float(config["n"] * config.get("width", 8))
        if size > 150:
            return {"size": size}
        bonus = {"relu": 0.0, "gelu": 0.2, "tanh": -0.3}[config["act"]] - 0.1 * config.get("skip", 0)
        return {"accuracy": bonus - abs(np.log10(config["lr"]) + 2) - 10 / size, "size": size}


class Computed(Mixed):
    """The size is known by a formula; the accuracy is not. Nothing fails."""

    variables = {**Mixed.variables, "lr": Real(1e-4, 0.5, log=True)}
    architecture = ["n", "width"]

    def compute(self, config):
        return {"size": float(config["n"] * config.get("width", 8))}


class Wrong(Mixed):
    """Its formula fails, or is another than what is measured."""

    def compute(self, config):
        if config["n"] == 2:
            raise ValueError("as asked")
        return {"size": 1.0}


class Finite(SearchProblem):
    variables = {"a": Integer(1, 9), "b": Boolean(), "c": Choice(["x", "y"], when={"b": True})}
    objectives = {"f": "min", "g": "max"}

    def evaluate(self, config):
        return {"f": config["a"] + config["b"], "g": config["a"] * (config.get("c") == "x")}


class Devices(SearchProblem):
    """Three devices, one of which keeps its limit in a small part of the space only."""

    variables = {"a": Real(0, 1), "b": Real(0, 1), "c": Integer(1, 8)}
    objectives = {"error": "min", "ms": "min"}
    constraints = {"ms": {"at_most": 6}}
    contexts = {"device": ["cpu", "phone", "fpga"]}
    metrics = {"ms": Metric("ms", by_context=True, log=True)}

    def evaluate(self, config):
        a, b, c = (config[name] for name in "abc")
        ms = {"cpu": 0.1 + c * (1 + a), "phone": 1.2 + c * c * (1 + 2 * b), "fpga": 0.1 + c / 2 + 5 * abs(a - b)}
        return {"error": (a - 0.3) ** 2 + 2 * (b - 0.6) ** 2 + 1 / c, "ms": ms}


class Noise(SearchProblem):
    variables = {"x": Real(0, 1), "y": Real(0, 1)}
    objectives = {"f": "min", "g": "min"}

    def evaluate(self, config):
        rng = np.random.default_rng(int(1e9 * config["x"]))
        return {"f": rng.random(), "g": rng.random()}


class Noisy(SearchProblem):
    """Few good configurations, known by the sum of their parts and much noise."""

    variables = {f"op_{i}": Choice(["a", "b", "c", "d"]) for i in range(3)}
    objectives = {"error": "min", "size": "min"}
    metrics = {"error": Metric(noisy=True)}

    def evaluate(self, config, *, seed=0):
        b, c, d = (list(config.values()).count(op) for op in "bcd")
        noise = np.random.default_rng(seed).standard_normal()
        return {"error": 3.0 * d + b + 0.5 * c + 0.6 * noise, "size": 8.0 - 2 * b - c}


def plain(name, **options):
    problem = as_search_problem(get_problem(name, **options))
    return lambda: (problem, lambda config: problem.call_evaluate(config, seed=0).metrics)


def own(cls):
    return lambda: (cls(), cls().evaluate)


class Parts(SearchProblem):
    """Variables of several columns, one of them conditional."""

    variables = {
        "set": Subset(["a", "b", "c", "d"], at_least=1, at_most=3),
        "tour": Ordering([1, 2, 3, 4, 5], tour=True),
        "mix": Simplex(["u", "v", "w"], at_least=0.05),
        "c": Boolean(),
        "order": Ordering(["p", "q", None], when={"c": True}),
    }
    objectives = {"f": "min", "g": "min"}

    def evaluate(self, config):
        f = len(config["set"]) + config["mix"]["u"] + abs(config["tour"][1] - 3) + 0.1 * config["c"]
        return {"f": f, "g": 4 - f + config["mix"]["v"] ** 2 + (config.get("order", [None])[0] is None)}


PROBLEMS = {
    "zdt1": plain("zdt1", n_var=6),
    "dtlz2": plain("dtlz2", n_var=5, n_obj=3),
    "many": plain("dtlz2", n_var=8, n_obj=6),
    "osy": plain("osy"),
    "mixed": own(Mixed),
    "computed": own(Computed),
    "wrong": own(Wrong),
    "finite": own(Finite),
    "noise": own(Noise),
    "devices": own(Devices),
    "parts": own(Parts),
}


def search(optimizer, evaluate, n_evals):
    """Ask and tell in turn; gives the candidates."""
    candidates = []
    while len(candidates) < n_evals and (asked := optimizer.ask(n_evals - len(candidates))):
        for candidate in asked:
            optimizer.tell(candidate, evaluate(candidate.configuration))
        candidates += asked
    return candidates


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((name, "generational") for name in ("dtlz2", "many", "osy", "mixed", "finite", "devices", "parts")),
        *((name, "steady-state") for name in ("zdt1", "mixed", "noise", "devices")),
    ],
)
def test_a_loaded_search_goes_on_as_the_dumped_one(name, mode):
    require_same_way_on(name, n_ahead=3, mode=mode)


@pytest.mark.parametrize(("name", "mode"), [("mixed", "generational"), ("dtlz2", "steady-state")])
def test_a_loaded_prescreening_goes_on_as_the_dumped_one(name, mode):
    require_same_way_on(name, n_ahead=10, mode=mode, model="gp", infill="prescreen")


def test_loaded_search_with_computed_metric_goes_on_as_dumped():
    require_same_way_on("computed", n_ahead=4, model="gp")


def search_with_noise(optimizer, n_evals):
    """Ask and tell in turn, each evaluation with a seed of its own; gives the candidates and their metrics."""
    told = []
    for _ in range(n_evals):
        (candidate,) = optimizer.ask(1)
        told.append((candidate, Noisy().evaluate(candidate.configuration, seed=candidate.id)))
        optimizer.tell(*told[-1])
    return told


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_noisy_members_of_the_front_are_evaluated_again(mode):
    optimizer = SurrogateOptimizer(Noisy(), model="gp", pop_size=12, seed=2, mode=mode)
    told = search_with_noise(optimizer, 40)
    by_id, groups = {c.id: c for c, _ in told}, {}
    for candidate, metrics in told:
        groups.setdefault(json.dumps(candidate.configuration), []).append((candidate, metrics))
    repeated = [c for c, _ in told if c.replicate]
    assert 3 <= len(repeated) <= 0.1 * len(told) + 1
    for c in repeated:
        assert c.origin == "replicate" and by_id[c.continues].configuration == c.configuration and c.id > 12
    for members in groups.values():
        assert [c.replicate for c, _ in members] == list(range(len(members)))
    population = dict(
        zip(optimizer.population_ids(), optimizer.dump()["algorithm"]["population"]["F"].tolist(), strict=True)
    )
    assert not {c.id for c in repeated} & population.keys()
    held = [members for members in groups.values() if members[0][0].id in population]
    assert any(len(members) > 1 for members in held)
    for members in held:
        means = np.mean([[m["error"], m["size"]] for _, m in members], axis=0)
        assert population[members[0][0].id] == pytest.approx(means.tolist())


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_loaded_search_with_replicates_goes_on_as_dumped(mode):
    first, second = (SurrogateOptimizer(Noisy(), model="gp", pop_size=12, seed=2, mode=mode) for _ in range(2))
    search_with_noise(first, 28)
    open_now = first.ask(2)
    second.load(from_json(to_json(first.dump())))
    for optimizer in (first, second):
        for candidate in open_now:
            optimizer.tell(candidate, Noisy().evaluate(candidate.configuration, seed=candidate.id))
    ahead, again = search_with_noise(first, 5), search_with_noise(second, 5)
    plain = [
        [c._replace(x=c.x.tobytes(), prediction=json.dumps(c.prediction)) for c, _ in told] for told in (ahead, again)
    ]
    assert plain[0] == plain[1]


def test_replicate_that_breaks_a_limit_changes_no_objective():
    class Limited(Noisy):
        constraints = {"latency_ms": {"at_most": 1.0}}

    optimizer = SurrogateOptimizer(Limited(), model="gp", pop_size=12, seed=2)
    told, repeated = {}, []
    for _ in range(36):
        (candidate,) = optimizer.ask(1)
        metrics = {**Noisy().evaluate(candidate.configuration, seed=candidate.id), "latency_ms": 0.9}
        told[candidate.id] = {"latency_ms": 1.02} if candidate.replicate else metrics
        repeated += [candidate.continues] if candidate.replicate else []
        optimizer.tell(candidate, told[candidate.id])
    population = dict(
        zip(optimizer.population_ids(), optimizer.dump()["algorithm"]["population"]["F"].tolist(), strict=True)
    )
    assert 2 <= len(repeated) <= 0.1 * len(told) + 1 and set(repeated) <= population.keys()
    for key, F in population.items():
        assert [told[key]["error"], told[key]["size"]] == F


class Unseeded(Noisy):
    def evaluate(self, config):
        return Noisy().evaluate(config)


@pytest.mark.parametrize(
    ("problem", "options"), [(Noisy(), {"repeats": False}), (Noisy(), {"model": "rf"}), (Unseeded(), {})]
)
def test_replicates_need_a_seed_and_a_model_of_the_noise(problem, options):
    optimizer = SurrogateOptimizer(problem, **{"model": "gp", "pop_size": 12, "seed": 2, **options})
    assert not any(c.replicate for c, _ in search_with_noise(optimizer, 34))


def require_same_way_on(name, n_ahead, n_before=16, **options):
    problem, evaluate = PROBLEMS[name]()
    first, second = (SurrogateOptimizer(problem, pop_size=12, seed=5, **options) for _ in range(2))
    before = search(first, evaluate, n_before)
    second.load(from_json(to_json(first.dump())))
    ahead, again = search(first, evaluate, n_ahead), search(second, evaluate, n_ahead)
    assert [c.configuration for c in ahead] == [c.configuration for c in again]
    assert [json.dumps(c.prediction) for c in ahead] == [json.dumps(c.prediction) for c in again]
    assert any(c.prediction for c in ahead) or name == "noise"
    asked = [json.dumps(c.configuration, sort_keys=True) for c in before + ahead]
    assert len(set(asked)) == len(asked)


def test_a_small_space_is_searched_to_its_last_configuration():
    problem, evaluate = PROBLEMS["finite"]()
    optimizer = SurrogateOptimizer(problem, pop_size=8)
    assert len(search(optimizer, evaluate, 100)) == problem.space.size() and optimizer.exhausted


def test_a_single_objective_is_searched_down_to_its_minimum():
    problem = FunctionProblem(lambda config: 0, {"x": Real(0, 1), "y": Real(0, 1)}, {"loss": "min"})
    optimizer = SurrogateOptimizer(problem, pop_size=8, seed=1)
    losses = []
    for candidate in iter(lambda: optimizer.ask(1), []):
        x, y = candidate[0].configuration.values()
        losses.append((x - 0.3) ** 2 + (y - 0.7) ** 2)
        optimizer.tell(candidate[0], {"loss": losses[-1]})
        if len(losses) == 32:
            break
    assert min(losses[8:]) < 1e-3 < min(losses[:8])


def test_metric_without_a_model_is_searched_without_one():
    problem, evaluate = PROBLEMS["noise"]()
    optimizer = SurrogateOptimizer(problem, pop_size=20, seed=5)
    candidates = search(optimizer, evaluate, 32)
    assert {decision.detail["chosen"] for decision in optimizer.take_decisions()} == {"none"}
    assert {c.origin for c in candidates[20:]} == {"mating"} and all(c.parents for c in candidates[20:])


def test_a_model_that_cannot_learn_is_noted_and_does_without(monkeypatch):
    gp = load_surrogate("gp")

    fit = gp.fit

    def fails_on_all(self, X, y):
        if len(y) == 20:
            raise SurrogateError("as asked")
        return fit(self, X, y)

    monkeypatch.setattr(gp, "fit", fails_on_all)
    problem, evaluate = PROBLEMS["zdt1"]()
    optimizer = SurrogateOptimizer(problem, model="gp", pop_size=20)
    assert {c.origin for c in search(optimizer, evaluate, 24)[20:]} == {"mating"}
    decisions = optimizer.take_decisions()
    assert [d.detail["chosen"] for d in decisions[::2]] == ["gp"] * 2
    assert [d.detail["fault"] for d in decisions[1::2]] == ["as asked"] * 2


def test_models_avoid_what_fails_and_what_breaks_limits():
    problem, evaluate = PROBLEMS["mixed"]()
    candidates = search(SurrogateOptimizer(problem, pop_size=20, seed=1), evaluate, 60)
    bad = [(m := evaluate(c.configuration)) is None or m["size"] > 100 for c in candidates]
    assert sum(bad[40:]) < sum(bad[:20])


@pytest.mark.parametrize(("infill", "n_evals"), [("ehvi", 28), ("prescreen", 48)])
def test_computed_metric_is_not_predicted_and_keeps_its_limit(infill, n_evals):
    problem, evaluate = PROBLEMS["computed"]()
    optimizer = SurrogateOptimizer(problem, model="gp", pop_size=12, seed=1, infill=infill)
    candidates = [c for c in search(optimizer, evaluate, n_evals) if c.prediction]
    assert len(candidates) >= 8 and all(c.prediction.keys() == {"accuracy"} for c in candidates)
    sizes = [problem.compute(c.configuration)["size"] for c in candidates]
    assert max(sizes) <= 100 and len(set(sizes)) > 3
    chosen = [(d.detail["metric"], d.detail["chosen"]) for d in optimizer.take_decisions()]
    assert chosen.count(("size", "computed")) == 1 and ("accuracy", "gp") in chosen


def test_metric_whose_formula_is_wrong_is_predicted():
    problem, evaluate = PROBLEMS["wrong"]()
    optimizer = SurrogateOptimizer(problem, model="gp", pop_size=16, seed=1)
    assert {"size"} <= {name for c in search(optimizer, evaluate, 18) for name in c.prediction or ()}


def test_models_reach_more_hypervolume_in_fewer_evaluations():
    problem, evaluate = plain("zdt1", n_var=10)()
    found = search(SurrogateOptimizer(problem, seed=1), evaluate, 60)
    F = problem.goals.F([evaluate(c.configuration) for c in found])
    # Of the true front's 0.876; NSGA-II is at 0 after 60.
    assert hypervolume(F, [1.1, 1.1]) > 0.8


def test_prescreened_offspring_reach_more_hypervolume():
    problem, evaluate = plain("zdt1", n_var=10)()

    def reached(optimizer):
        found = search(optimizer, evaluate, 200)
        F = problem.goals.F([evaluate(c.configuration) for c in found])
        return hypervolume(np.array(F), [1.1, 6.0])

    prescreened = [
        reached(SurrogateOptimizer(problem, model="gp", infill="prescreen", pop_size=40, seed=seed)) for seed in (1, 2)
    ]
    alone = [reached(Optimizer(problem, pop_size=40, seed=seed)) for seed in (1, 2, 3)]
    # Of the true front's 6.27; the algorithm alone has as much only after about 400.
    assert min(prescreened) > max(alone) + 0.3


def test_prescreened_candidates_are_offspring_with_predictions():
    problem, evaluate = PROBLEMS["mixed"]()
    optimizer = SurrogateOptimizer(problem, model="gp", pop_size=16, infill="prescreen")
    second = search(optimizer, evaluate, 32)[16:]
    assert {c.origin for c in second} == {"mating"} and {c.generation for c in second} == {2}
    assert all(c.parents and c.prediction.keys() == {"accuracy", "size"} for c in second)


def test_models_serve_every_context_better_than_none():
    """The share of each device's best-known front, by 60 evaluations with models and without."""
    problem, volumes = Devices(), {}
    for model in (None, "gp"):
        options = {"pop_size": 12, "seed": 1}
        optimizer = SurrogateOptimizer(problem, model=model, **options) if model else Optimizer(problem, **options)
        rows = [problem.call_evaluate(c.configuration).metrics for c in search(optimizer, problem.evaluate, 60)]
        for view in problem.goals.views:
            F = view.F([row for row in rows if not view.violation(row)])
            volumes.setdefault(view.objectives[1].metric, []).append(hypervolume(F, [3.0, 7.0]))
    assert len(volumes) == 3 and all(with_models > without for without, with_models in volumes.values()), volumes
