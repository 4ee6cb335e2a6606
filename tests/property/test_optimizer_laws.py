import itertools
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.optimize import minimize
from pymoo.problems import get_problem

from evo_moo.optimizer.algorithms import reference_directions
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.metrics import Metric
from evo_moo.problem.points import numbered
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.kinds.ordering import Ordering
from evo_moo.space.kinds.simplex import Simplex
from evo_moo.space.kinds.subset import Subset
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.storage.checkpoint import from_json, to_json


class Mixed(SearchProblem):
    """Mixed and conditional; some configurations break the limit."""

    variables = {
        "n": Integer(1, 3),
        "lr": Real(1e-4, 1, log=True),
        "act": Choice(["relu", "gelu", "tanh"]),
        "width": Integer(4, 64, log=True, when={"n": [2, 3]}),
        "skip": Boolean(when={"act": "gelu"}),
    }
    objectives = {"loss": "min", "size": "min"}
    constraints = {"size": {"at_most": 100}}

    def evaluate(self, config):
        size = config["n"] * config.get("width", 8)
        return {"loss": abs(np.log10(config["lr"]) + 2) + 10 / size + config.get("skip", 0.5), "size": float(size)}


class Devices(Mixed):
    """Two devices with a limit that some keep on one of them only."""

    contexts = {"device": ["server", "phone"]}
    metrics = {"ms": Metric("ms", by_context=True)}
    objectives = {"loss": "min", "ms": "min"}
    constraints = {"ms": {"at_most": 90}, "size": {"at_most": 150}}

    def evaluate(self, config):
        metrics = super().evaluate(config)
        return metrics | {
            "ms": {"server": 1 + metrics["size"] / 2, "phone": 5 + 40 * config["n"] + config.get("width", 8)}
        }


class Finite(SearchProblem):
    variables = {"a": Integer(1, 3), "b": Boolean(), "c": Choice(["x", "y"], when={"b": True})}
    objectives = {"f": "min", "g": "max"}

    def evaluate(self, config):
        return {"f": config["a"] + config["b"], "g": config["a"] * (config.get("c") == "x")}


class Grid(SearchProblem):
    """900 configurations, of which one is the best."""

    variables = {"a": Integer(1, 30), "b": Integer(1, 30)}
    objectives = {"f": "min", "g": "min"}

    def evaluate(self, config):
        return {"f": config["a"] + config["b"], "g": config["a"] * config["b"]}


class Numbers(SearchProblem):
    """Steps, a 0 beside a range, bounds that name variables, and a condition with alternatives."""

    variables = {
        "net.first": Integer(1, "net.n"),
        "net.n": Integer(1, 4),
        "net.width": Integer(16, 64, step=16),
        "decay": Real(1e-6, 1e-2, log=True, zero=True),
        "warm": Integer(10, 30, log=True, zero=True),
        "low": Real(0, 0.5, when={"net.n": {"at_least": 2}}),
        "high": Real("low", 1.0, when=[{"net.width": 16}, {"decay": 0, "warm": {"at_least": 10}}]),
    }
    objectives = {"f": "min", "g": "min"}

    def evaluate(self, config):
        assert config["net.first"] <= config["net.n"] and config.get("low", 0) <= config.get("high", 1)
        f = config["net.n"] - config["net.first"] + 100 * config["decay"] + config.get("high", 0.3)
        return {"f": f, "g": 64 / config["net.width"] + config["warm"] / 30 - config.get("low", 0.2)}


class Parts(SearchProblem):
    """Variables of several columns, some of them conditional."""

    variables = {
        "c": Boolean(),
        "set": Subset(["a", "b", "c", "d"], at_least=1, at_most=3),
        "order": Ordering(["p", "q", None], when={"c": True}),
        "tour": Ordering([1, 2, 3, 4, 5], tour=True),
        "mix": Simplex(["u", "v", "w"], at_least=0.05),
        "rest": Simplex(2, when={"c": False}),
    }
    objectives = {"f": "min", "g": "min"}

    def evaluate(self, config):
        last = config.get("order", [None])[-1]
        f = len(config["set"]) + config["mix"]["u"] - 0.5 * (last is None) + abs(config["tour"][1] - 3)
        return {"f": f, "g": 4 - f + config["mix"]["v"] ** 2 + config.get("rest", [0, 0.5])[1]}


PROBLEMS = {
    "zdt1": as_search_problem(get_problem("zdt1", n_var=6)),
    "dtlz2": as_search_problem(get_problem("dtlz2", n_var=5, n_obj=3)),
    "osy": as_search_problem(get_problem("osy")),
    "bnh": as_search_problem(get_problem("bnh")),
    "mixed": Mixed(),
    "devices": Devices(),
    "finite": Finite(),
    "grid": Grid(),
    "numbers": Numbers(),
    "parts": Parts(),
}
NAMED = ["nsga2", "nsga3", "weighted-sum", "tchebycheff", "random", "sobol", "grid"]
ALGORITHMS = st.sampled_from(NAMED)
NAMES = st.sampled_from(sorted(PROBLEMS))
SEEDS = st.integers(0, 2**32 - 1)
MODES = st.sampled_from(["generational", "steady-state"])
BOTH = pytest.mark.parametrize("algorithm", ["nsga2", "nsga3"])
ALL = pytest.mark.parametrize("algorithm", NAMED)
N = 50


def new(name, algorithm, seed=1, pop_size=8, mode="generational"):
    points = 3 if algorithm == "grid" else None
    return Optimizer(PROBLEMS[name], algorithm, pop_size=pop_size, seed=seed, mode=mode, grid_points=points)


def outcome(name, candidate, share_failed=0.0):
    """Evaluate, or fail, or break a limit at the profile; decided by the candidate alone."""
    metrics = PROBLEMS[name].evaluate(candidate.configuration)
    if random.Random(candidate.id).random() < share_failed:
        return None
    return {"size": metrics["size"]} if metrics.get("size", 0) > 150 else metrics


def steps(name, optimizer, n, share_failed=0.0, chunk=3):
    """Ask in chunks and tell one at a time, the newest first, until ``n`` were told; yield each candidate."""
    waiting, n_told = [], 0
    while n_told < n:
        waiting += optimizer.ask(chunk)
        if not waiting:
            assert optimizer.exhausted
            return
        candidate = waiting.pop()
        optimizer.tell(candidate.id, outcome(name, candidate, share_failed))
        n_told += 1
        yield candidate


def described(candidates):
    rows = [(c.id, c.generation, json.dumps(c.configuration), c.x.tobytes()) for c in candidates]
    return sorted(rows)


def of_file(state):
    return from_json(to_json(state))


@pytest.mark.slow
@given(NAMES, ALGORITHMS, SEEDS, st.integers(0, N), st.sampled_from([0.0, 0.5]), MODES)
@settings(max_examples=8)
def test_search_loaded_at_any_moment_goes_on_as_the_dumped_one(name, algorithm, seed, stop, share, mode):
    optimizer, waiting = new(name, algorithm, seed, mode=mode), []
    for _ in range(stop):
        waiting += optimizer.ask(3)
        if waiting:
            candidate = waiting.pop()
            optimizer.tell(candidate.id, outcome(name, candidate, share))
    text = to_json(optimizer.dump())
    loaded = new(name, algorithm, seed=0, mode=mode)
    loaded.load(from_json(text))
    assert described(loaded.pending) == described(waiting)
    assert to_json(loaded.dump()) == text
    assert goes_on(name, loaded, waiting, share) == goes_on(name, optimizer, waiting, share)


def goes_on(name, optimizer, waiting, share):
    start = optimizer.n_asked, optimizer.generation, optimizer.exhausted
    for candidate in waiting:
        optimizer.tell(candidate.id, outcome(name, candidate, share))
    rest = described(steps(name, optimizer, 17, share))
    return start, rest, optimizer.population_ids(), optimizer.optimum_ids(), to_json(optimizer.dump())


@given(NAMES, ALGORITHMS, SEEDS, st.integers(0, 4), st.sampled_from([0.0, 0.5]))
@settings(max_examples=6)
def test_the_rows_asked_may_be_kept_elsewhere(name, algorithm, seed, n_generations, share):
    optimizer, rows = new(name, algorithm, seed), []
    for _ in range(n_generations):
        for candidate in optimizer.ask():
            rows.append(candidate.x)
            optimizer.tell(candidate.id, outcome(name, candidate, share))
    loaded = new(name, algorithm, seed=0)
    loaded.load(of_file(optimizer.dump(with_seen=False)), seen=np.array(rows).reshape(-1, optimizer.space.n_var))
    assert goes_on(name, loaded, [], share) == goes_on(name, optimizer, [], share)


def test_rows_asked_may_be_kept_outside_the_checkpoint():
    optimizer, loaded = new("finite", "nsga2", pop_size=6), new("finite", "nsga2", pop_size=6)
    asked = optimizer.ask(1)
    loaded.load(of_file(optimizer.dump(with_seen=False)), seen=asked[0].x[None])
    loaded.tell(asked[0].id, None)
    asked += steps("finite", loaded, 50, share_failed=1.0)
    assert len({json.dumps(c.configuration) for c in asked}) == len(asked)


@given(NAMES, ALGORITHMS, SEEDS, st.sampled_from([0.0, 0.5]), st.integers(1, 20), st.randoms())
@settings(max_examples=8)
def test_search_depends_on_neither_chunks_nor_order_of_outcomes(name, algorithm, seed, share, chunk, order):
    in_order, shuffled = new(name, algorithm, seed), new(name, algorithm, seed)
    for _ in range(4):
        batch, parts = in_order.ask(), []
        while part := shuffled.ask(chunk):
            parts += part
        assert described(batch) == described(parts)
        order.shuffle(parts)
        for optimizer, candidates in ((in_order, batch), (shuffled, parts)):
            for candidate in candidates:
                optimizer.tell(candidate.id, outcome(name, candidate, share))
        assert in_order.population_ids() == shuffled.population_ids()


@pytest.mark.slow
@ALL
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_seed_decides_all_candidates(name, algorithm):
    one, same, other = (described(steps(name, new(name, algorithm, seed), 30)) for seed in (1, 1, 2))
    assert one == same != other


@given(ALGORITHMS, SEEDS, st.sampled_from([0.0, 0.5]))
@settings(max_examples=10)
def test_no_configuration_is_asked_twice_on_a_mixed_space(algorithm, seed, share):
    asked = [json.dumps(c.configuration) for c in steps("mixed", new("mixed", algorithm, seed), 80, share)]
    assert len(set(asked)) == len(asked) == 80


@given(NAMES, ALGORITHMS, SEEDS)
@settings(max_examples=10)
def test_ids_count_the_candidates_and_generations_do_not_mix(name, algorithm, seed):
    optimizer = new(name, algorithm, seed)
    for generation in (1, 2, 3):
        first = optimizer.n_asked + 1
        batch = optimizer.ask()
        assert [c.id for c in batch] == list(range(first, first + len(batch)))
        assert {c.generation for c in batch} <= {generation}
        assert optimizer.ask() == [] and optimizer.n_asked == first + len(batch) - 1
        for candidate in batch:
            optimizer.tell(candidate.id, outcome(name, candidate))
        assert set(optimizer.optimum_ids()) and max(optimizer.population_ids()) <= optimizer.n_asked


@ALL
@pytest.mark.parametrize("seed", range(3))
def test_an_exhausted_space_was_asked_for_every_configuration(algorithm, seed):
    optimizer = new("finite", algorithm, seed, pop_size=4)
    asked = {json.dumps(c.configuration) for c in steps("finite", optimizer, 100)}
    assert optimizer.exhausted and optimizer.ask() == []
    assert len(asked) == optimizer.n_asked == PROBLEMS["finite"].space.size() == 9
    loaded = new("finite", algorithm, pop_size=4)
    loaded.load(of_file(optimizer.dump()))
    assert loaded.exhausted and loaded.ask() == []


@BOTH
@pytest.mark.parametrize("share_failed", [0.0, 1.0])
def test_space_is_exhausted_only_after_all_configurations(algorithm, share_failed):
    optimizer = new("grid", algorithm, pop_size=20)
    asked = list(steps("grid", optimizer, 120, share_failed))
    assert len(asked) == 120 and not optimizer.exhausted


@ALL
@pytest.mark.parametrize("name", ["zdt1", "mixed"])
def test_failures_are_left_out_and_followed_by_new_samples(name, algorithm):
    optimizer = new(name, algorithm)
    batches = []
    for generation in (1, 2):
        batches.append(optimizer.ask())
        for candidate in batches[-1]:
            optimizer.tell(candidate.id, None)
        assert optimizer.population_ids() == optimizer.optimum_ids() == []
        assert optimizer.generation == generation
    survivor, *others = batch = optimizer.ask()
    assert len({c.x.tobytes() for c in itertools.chain(*batches, batch)}) == optimizer.n_asked == 24
    for candidate in others:
        optimizer.tell(candidate.id, None)
    optimizer.tell(survivor.id, outcome(name, survivor))
    assert optimizer.population_ids() == optimizer.optimum_ids() == [survivor.id]
    alive = {survivor.id}
    for candidate in steps(name, optimizer, 40, share_failed=0.7):
        if outcome(name, candidate, 0.7) is not None:
            alive.add(candidate.id)
    assert set(optimizer.population_ids()) <= alive


@ALL
def test_candidate_without_objectives_ranks_behind_the_feasible(algorithm):
    optimizer = new("mixed", algorithm, pop_size=8)
    first = optimizer.ask()
    for candidate in first:
        broken = candidate.id % 2
        optimizer.tell(candidate.id, {"size": 101.0} if broken else {"loss": 1.0 * candidate.id, "size": 50.0})
    assert all(key % 2 == 0 for key in optimizer.optimum_ids())
    for candidate in optimizer.ask():
        optimizer.tell(candidate.id, {"loss": 0.5, "size": 100.0 - candidate.id})
    assert not {c.id for c in first if c.id % 2} & set(optimizer.population_ids())


@ALL
def test_a_load_replaces_everything_that_went_before(algorithm):
    state = of_file(new("mixed", algorithm, seed=3).dump())
    used = new("mixed", algorithm, seed=3)
    expected = described(steps("mixed", used, 20))
    used.load(state)
    assert described(steps("mixed", used, 20)) == expected


@pytest.mark.parametrize(
    ("name", "algorithm"), [("zdt1", "nsga2"), ("bnh", "nsga2"), ("osy", "nsga2"), ("dtlz2", "nsga3")]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_plain_problem_gives_what_pymoos_minimize_gives(name, algorithm, seed):
    problem, n_gen = PROBLEMS[name], 12
    directions = reference_directions(problem.n_obj, 15)
    theirs = NSGA2(pop_size=15) if algorithm == "nsga2" else NSGA3(directions, pop_size=15)
    expected = minimize(problem.plain, theirs, ("n_gen", n_gen), seed=seed)
    optimizer = Optimizer(problem, algorithm, pop_size=15, seed=seed)
    told = {}
    while optimizer.generation < n_gen:
        for candidate in optimizer.ask():
            told[candidate.id] = problem.evaluate(candidate.configuration)
            optimizer.tell(candidate.id, told[candidate.id])
    for ids, population in ((optimizer.population_ids(), expected.pop), (optimizer.optimum_ids(), expected.opt)):
        F = problem.goals.F([told[key] for key in ids])
        np.testing.assert_array_equal(F, population.get("F"))


@given(NAMES, ALGORITHMS, SEEDS, st.sampled_from([0.0, 0.5]))
@settings(max_examples=10)
def test_steady_state_always_has_a_candidate(name, algorithm, seed, share):
    optimizer, waiting = new(name, algorithm, seed, mode="steady-state"), []
    for _ in range(40):
        waiting += optimizer.ask(5 - len(waiting))
        assert len(waiting) == 5 or optimizer.exhausted
        if waiting:
            candidate = waiting.pop(len(waiting) // 2)
            optimizer.tell(candidate.id, outcome(name, candidate, share))
            assert optimizer.is_settled and len(optimizer.population_ids()) <= 8 * len(optimizer.goals.views)
    assert [c.id for c in optimizer.pending] == [c.id for c in waiting]


@BOTH
def test_steady_state_learns_from_each_outcome_at_once(algorithm):
    spread = {}
    for mode in ("generational", "steady-state"):
        optimizer = new("zdt1", algorithm, pop_size=20, mode=mode)
        evaluated = list(steps("zdt1", optimizer, 600, chunk=1))
        spread[mode] = np.mean([sum(PROBLEMS["zdt1"].evaluate(c.configuration).values()) for c in evaluated[-50:]])
    random_mean = np.mean([sum(PROBLEMS["zdt1"].evaluate(c.configuration).values()) for c in evaluated[:20]])
    assert spread["steady-state"] < 0.6 * random_mean
    assert spread["steady-state"] < 1.2 * spread["generational"]


@BOTH
@pytest.mark.parametrize("mode", ["generational", "steady-state"])
@pytest.mark.parametrize("name", ["grid", "mixed"])
def test_revised_evaluation_is_ranked_by_its_new_values(name, algorithm, mode):
    """Those that were selected upon and those that wait; a search loaded afterwards goes on as the revised one."""
    optimizer, problem = new(name, algorithm, mode=mode), PROBLEMS[name]
    asked = {}
    while optimizer.n_asked < 27:
        for candidate in optimizer.ask(1):
            asked[candidate.id] = candidate
            optimizer.tell(candidate, problem.evaluate(candidate.configuration))
    members, best = set(optimizer.population_ids()), dict.fromkeys(problem.goals.metric_names, -9.0)
    winner = max(members - set(optimizer.optimum_ids()))
    optimizer.revise([(key, asked[key].x, numbered((), best)) for key in (winner, 27)])
    assert set(optimizer.population_ids()) == members and optimizer.optimum_ids() == [winner]
    loaded = new(name, algorithm, mode=mode)
    loaded.load(from_json(to_json(optimizer.dump())))
    for each in (optimizer, loaded):
        while each.n_asked < 40:
            for candidate in each.ask(1):
                each.tell(candidate, problem.evaluate(candidate.configuration))
    assert {winner, 27} <= set(optimizer.population_ids())
    assert optimizer.population_ids() == loaded.population_ids()
