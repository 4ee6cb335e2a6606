import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from evo_moo.errors import SpaceError
from evo_moo.space.operators import (
    RowDuplicateElimination,
    SeenRows,
    SpaceCrossover,
    SpaceMutation,
    SpaceSampling,
    space_operators,
)
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real


@pytest.fixture
def space():
    return SearchSpace(
        {
            "n_layers": Integer(1, 3),
            "width_1": Integer(4, 128, log=True),
            "width_2": Integer(4, 128, log=True, when={"n_layers": [2, 3]}),
            "width_3": Integer(4, 128, log=True, when={"n_layers": 3, "width_2": {"at_least": 20}}),
            "lr": Real(1e-4, 1e-1, log=True),
            "momentum": Real(0, 1),
            "act": Choice(["relu", "gelu", "silu"]),
            "batch": Choice([16, 32, 64, 128, 256], ordered=True),
            "fixed": Choice(["only"]),
            "norm": Boolean(),
        }
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def problem(space):
    return Problem(n_var=space.n_var, n_obj=2, xl=space.xl, xu=space.xu)


def mutated(space, X, seed=0, **options):
    pop = Population.new("X", X)
    return SpaceMutation(space, **options).do(problem(space), pop, random_state=rng(seed)).get("X")


def crossed(space, A, B, seed=0, **options):
    pop = Population.new("X", np.concatenate([A, B]))
    parents = np.arange(2 * len(A)).reshape(2, -1).T
    off = SpaceCrossover(space, **options).do(problem(space), pop, parents, random_state=rng(seed)).get("X")
    return off.reshape(2, len(A), -1)


def test_every_child_is_canonical_and_differs(space):
    X = space.sample(500, rng(1))
    Y = mutated(space, X)
    assert Y.tobytes() == space.canonical(Y).tobytes()
    assert (X != Y).any(axis=1).all()


def test_every_child_differs_from_parents_at_the_bounds(space):
    X = space.canonical(np.repeat([space.xl, space.xu], 200, axis=0))
    assert (mutated(space, X) != X).any(axis=1).all()


def test_single_variable_spaces_mutate_to_another_value():
    for kind in (Real(0, 1), Real(1e-3, 1, log=True), Integer(0, 1), Integer(1, 2, log=True), Boolean()):
        single = SearchSpace({"x": kind})
        X = single.canonical(np.repeat([single.xl, single.xu], 100, axis=0))
        assert (mutated(single, X) != X).all()


def test_mutation_without_anything_to_change_leaves_rows_alone():
    single = SearchSpace({"x": Choice(["only"])})
    np.testing.assert_array_equal(mutated(single, np.zeros((5, 1))), np.zeros((5, 1)))


def test_mutation_changes_about_one_active_column():
    space = SearchSpace({f"x{i}": Real(0, 1) for i in range(20)})
    X = space.sample(2000, rng(1))
    changed = (mutated(space, X) != X).sum(axis=1)
    assert 1.2 < changed.mean() < 1.5  # 1 + 0.95**20 on average, since none is not allowed
    assert (mutated(space, X, prob_var=1.0) != X).all()


def test_mutation_hits_columns_alike():
    space = SearchSpace({f"x{i}": Real(0, 1) for i in range(5)})
    X = space.sample(5000, rng(1))
    hits = (mutated(space, X) != X).sum(axis=0)
    assert hits.max() < 1.15 * hits.min()


def test_grid_steps_are_small_and_categories_jump_anywhere():
    space = SearchSpace({"i": Integer(0, 100)})
    X = np.full((4000, 1), 50.0)
    step = np.abs(mutated(space, X) - X)
    assert (step >= 1).all()
    assert np.median(step) <= 5
    ordered = SearchSpace({"o": Choice(list(range(9)), ordered=True)})
    assert np.median(np.abs(mutated(ordered, np.full((500, 1), 4.0)) - 4)) == 1
    category = SearchSpace({"c": Choice(list(range(9)))})
    counts = np.bincount(mutated(category, np.full((8000, 1), 4.0)).ravel().astype(int), minlength=9)
    assert counts[4] == 0
    assert np.delete(counts, 4).min() > 850


def test_mutation_never_changes_inactive_columns_by_themselves(space):
    X = space.sample(500, rng(1))
    Y = mutated(space, X)
    gone = ~space.active(Y)
    np.testing.assert_array_equal(Y[gone], np.broadcast_to(space.xl, Y.shape)[gone])


def test_newly_activated_columns_get_random_values():
    space = SearchSpace({"gate": Boolean(), "w": Integer(1, 1000, when={"gate": True})})
    X = space.encode([{"gate": False}] * 300)
    Y = mutated(space, X)
    assert (Y[:, 0] == 1).all()
    assert len(np.unique(Y[:, 1])) > 200


def test_newly_activated_chains_get_random_values(space):
    X = space.sample(3000, rng(1))
    Y = mutated(space, X, eta=1, prob_var=0.5)
    new = space.active(Y)[:, 3] & ~space.active(X)[:, 2]
    assert new.sum() > 10
    assert len(np.unique(Y[new, 3])) > 5


def test_children_of_equal_parents_equal_them(space):
    X = space.sample(100, rng(1))
    first, second = crossed(space, X, X)
    np.testing.assert_array_equal(first, X)
    np.testing.assert_array_equal(second, X)


def test_crossover_gives_canonical_rows_inside_the_bounds(space):
    off = crossed(space, space.sample(300, rng(1)), space.sample(300, rng(2)))
    X = off.reshape(-1, space.n_var)
    assert X.tobytes() == space.canonical(X).tobytes()


def test_crossover_exchanges_categories_and_mixes_numbers():
    space = SearchSpace({"c": Choice(list("abcdef")), "r": Real(0, 1), "i": Integer(0, 100)})
    A = np.tile([0.0, 0.2, 20.0], (400, 1))
    B = np.tile([5.0, 0.8, 80.0], (400, 1))
    off = crossed(space, A, B, prob=1.0)
    assert set(off[:, :, 0].ravel()) == {0.0, 5.0}
    np.testing.assert_array_equal(off[0, :, 0] + off[1, :, 0], 5.0)
    assert 100 < (off[0, :, 0] == 5).sum() < 300
    assert len(np.unique(off[:, :, 1])) > 300
    assert len(np.unique(off[:, :, 2])) > 10
    np.testing.assert_allclose(off[:, :, 1].mean(), 0.5, atol=0.05)


def test_crossover_probability_zero_copies_the_parents(space):
    A, B = space.sample(50, rng(1)), space.sample(50, rng(2))
    off = crossed(space, A, B, prob=0.0)
    np.testing.assert_array_equal(off, [A, B])


def test_conditional_value_comes_from_the_parent_that_has_it():
    space = SearchSpace({"gate": Boolean(), "w": Integer(1, 1000, when={"gate": True})})
    A = space.encode([{"gate": True, "w": 777}] * 200)
    B = space.encode([{"gate": False}] * 200)
    off = crossed(space, A, B, prob=1.0).reshape(-1, 2)
    assert set(off[off[:, 0] == 1, 1]) == {777.0}
    assert set(off[off[:, 0] == 0, 1]) == {1.0}


def test_tiny_and_huge_ranges_are_crossed_and_mutated():
    space = SearchSpace({"tiny": Real(1e-20, 2e-20), "huge": Real(-8e307, 8e307)})
    A, B = space.sample(200, rng(1)), space.sample(200, rng(2))
    off = crossed(space, A, B, prob=1.0)
    assert np.isfinite(off).all()
    assert ((off[0] != A) & (off[0] != B)).any(axis=0).all()
    assert (mutated(space, A, prob_var=1.0) != A).all()


def test_sampling_begins_with_the_users_configurations(space):
    mine = space.decode(space.sample(3, rng(5)))
    X = SpaceSampling(space, "sobol", mine).do(problem(space), 10, random_state=rng()).get("X")
    assert X.shape == (10, space.n_var)
    assert space.decode(X[:3]) == mine
    assert len(SpaceSampling(space, configurations=mine).do(problem(space), 2, random_state=rng())) == 3
    with pytest.raises(SpaceError, match="`nope`"):
        SpaceSampling(space, configurations=[{"nope": 1}])


def test_sampling_a_small_space_gives_all_of_it_once():
    space = SearchSpace({"a": Integer(1, 3), "b": Boolean()})
    X = SpaceSampling(space).do(problem(space), 20, random_state=rng()).get("X")
    assert len(X) == len(np.unique(X, axis=0)) == 6


def test_duplicates_within_and_of_seen_rows_are_dropped(space):
    A, B, C, D = space.sample(4, rng())
    eliminate = RowDuplicateElimination(space)
    pop = Population.new("X", np.array([A, B, A, C, D]))
    np.testing.assert_array_equal(eliminate.do(pop).get("X"), [A, B, C, D])
    np.testing.assert_array_equal(eliminate.do(pop, Population.new("X", np.array([B]))).get("X"), [A, C, D])
    eliminate.remember(np.array([A, C]))
    assert len(eliminate.seen) == 2
    np.testing.assert_array_equal(eliminate.do(pop).get("X"), [B, D])
    assert len(eliminate.do(Population.new("X", np.array([A])))) == 0
    rebuilt = RowDuplicateElimination(space)
    rebuilt.seen.load(eliminate.seen.numbers())
    np.testing.assert_array_equal(rebuilt.seen.numbers(), eliminate.seen.numbers())
    np.testing.assert_array_equal(rebuilt.do(pop).get("X"), [B, D])


def test_seen_rows_are_those_of_a_set():
    seen, known = SeenRows(), set()
    for n in (1, 25_000, 3, 9_000):
        rows = [number.tobytes() for number in rng().integers(0, 30_000, n)]
        assert seen.have(rows[:500]) == [row in known for row in rows[:500]]
        seen.add(rows)
        known.update(rows)
        assert len(seen) == len(known) and all(seen.have(rows))
    again = SeenRows()
    again.load(seen.numbers())
    np.testing.assert_array_equal(again.numbers(), seen.numbers())
    assert seen.have([]) == [] and not any(again.have([b"", b"another"]))


def test_rows_that_differ_in_inactive_columns_are_duplicates():
    space = SearchSpace({"gate": Boolean(), "w": Real(0, 1, when={"gate": True})})
    pop = Population.new("X", np.array([[0, 0.1], [0, 0.7], [1, 0.1], [1, 0.7]]))
    assert len(RowDuplicateElimination(space).do(pop)) == 3


def test_forbidden_rows_are_dropped():
    space = SearchSpace({"a": Integer(1, 9)}, forbidden={"odd": lambda c: c["a"] % 2 == 1})
    pop = Population.new("X", np.arange(1.0, 10.0)[:, None])
    np.testing.assert_array_equal(RowDuplicateElimination(space).do(pop).get("X").ravel(), [2, 4, 6, 8])


class Mixed(Problem):
    def __init__(self, space):
        super().__init__(n_var=space.n_var, n_obj=2, xl=space.xl, xu=space.xu)
        self.space = space
        self.asked = []

    def _evaluate(self, X, out, *args, **kwargs):
        self.asked.append(X)
        configurations = self.space.decode(X)
        size = [sum(c.get(f"width_{i}", 0) for i in (1, 2, 3)) for c in configurations]
        error = [
            (np.log10(c["lr"]) + 2) ** 2 + 10 / s + (c["act"] != "gelu")
            for c, s in zip(configurations, size, strict=True)
        ]
        out["F"] = np.column_stack([error, size])


def search(space, seed, n_gen=15):
    return minimize(
        Mixed(space),
        NSGA2(pop_size=20, **space_operators(space)),
        ("n_gen", n_gen),
        seed=seed,
        copy_algorithm=False,
    )


def test_nsga2_runs_on_a_mixed_conditional_space(space):
    forbidden = SearchSpace(space.variables, {"wide": lambda c: c["width_1"] > 100})
    result = search(forbidden, seed=1)
    X = np.concatenate(result.problem.asked)
    assert len(X) == 20 * 15
    assert forbidden.canonical(X).tobytes() == X.tobytes()
    assert forbidden.allowed(X).all()
    first, last = result.problem.asked[0], result.pop.get("F")
    assert last[:, 0].mean() < 0.7 * Mixed(space).evaluate(first)[:, 0].mean()


def test_equal_seeds_give_equal_searches(space):
    first, again, other = search(space, 1, 5), search(space, 1, 5), search(space, 2, 5)
    assert np.array_equal(first.pop.get("X"), again.pop.get("X"))
    assert not np.array_equal(first.pop.get("X"), other.pop.get("X"))
