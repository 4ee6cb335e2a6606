import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.problems import get_problem

from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.scalarisation import RHO, normalised, scalarised

POINTS = arrays(float, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-2, 2, width=32))
WEIGHTS = arrays(float, (4, 3), elements=st.sampled_from([0.1, 0.5, 1.0, 3.0]))


@given(POINTS, WEIGHTS)
@settings(max_examples=40)
def test_the_functions_are_those_of_their_papers(N, weights):
    terms = N[:, None, :] * weights
    np.testing.assert_allclose(scalarised(N, weights, "weighted-sum"), terms.sum(axis=2))
    np.testing.assert_allclose(scalarised(N, weights, "tchebycheff"), np.abs(terms).max(axis=2))
    np.testing.assert_allclose(scalarised(N, weights, "asf"), terms.max(axis=2) + RHO * terms.sum(axis=2), atol=1e-9)


@given(POINTS)
@settings(max_examples=20)
def test_objectives_span_0_to_1_unless_all_are_equal(F):
    N = normalised(F)
    assert (N.min(axis=0) == 0).all()
    assert set(N.max(axis=0)) <= {0.0, 1.0}


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "seed"), [("generational", 1), ("generational", 2), ("steady-state", 1)])
def test_tchebycheff_alone_reaches_a_concave_front(mode, seed):
    problem = as_search_problem(get_problem("zdt2", n_var=2))
    inside = {}
    for algorithm in ("weighted-sum", "tchebycheff"):
        optimizer, F = Optimizer(problem, algorithm, pop_size=20, seed=seed, mode=mode), {}
        while optimizer.generation < 25:
            for candidate in optimizer.ask():
                metrics = problem.evaluate(candidate.configuration)
                F[candidate.id] = problem.goals.F([metrics])[0]
                optimizer.tell(candidate.id, metrics)
        kept = np.array([F[key] for key in optimizer.population_ids()])
        on_front = kept[kept[:, 1] + kept[:, 0] ** 2 < 1.1]
        inside[algorithm] = ((on_front[:, 0] > 0.15) & (on_front[:, 0] < 0.85)).sum()
        assert on_front[:, 0].min() < 0.1 and on_front[:, 0].max() > 0.9
    assert inside["weighted-sum"] == 0 and inside["tchebycheff"] >= 8
