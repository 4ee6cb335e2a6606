"""A search that evaluates noisy members of its front again, from the ledger to the front that it reports."""

from pathlib import Path

import numpy as np
import pytest

import evo_moo
from evo_moo.errors import UsageError
from evo_moo.optimizer.refinement.refinement import Refinement
from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.plugins import load_problem
from tests.integration.running import ledger_of

pytestmark = pytest.mark.slow

NOISY = {"problem": "bnh", "noise": 5.0}


def run(folder: Path, n_evals: int, **options) -> evo_moo.Result:
    settings = {"options": NOISY, "pop_size": 12, "surrogate": "gp", "seed": 1, "workers": 2} | options
    return evo_moo.search("synthetic", termination=("n_evals", n_evals), run_dir=folder, **settings)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> evo_moo.Result:
    return run(tmp_path_factory.mktemp("run"), 40)


def test_the_front_tells_means_over_repetitions_with_other_seeds(result):
    repeated = [e for e in result.evaluations if e.replicate]
    assert 3 <= len(repeated) <= 4 and len(result.evaluations) == 40
    for e in repeated:
        first = result.evaluations[e.continues - 1]
        assert e.configuration == first.configuration and e.origin == "replicate"
        assert e.metrics != first.metrics
    assert not {e.id for e in repeated} & {e.id for e in result.front}
    groups = {e.id: [e.metrics["f1"]] for e in result.evaluations if not e.replicate}
    for e in repeated:
        groups[e.continues].append(e.metrics["f1"])
    for e in result.front:
        assert e.metrics["f1"] == pytest.approx(np.mean(groups[e.id]))
    assert {key for key, values in groups.items() if len(values) > 1} == result.spread.keys()


def test_a_run_that_was_stopped_repeats_the_same(result, tmp_path):
    run(tmp_path / "r", 27)
    run(tmp_path / "r", 40, workers=1)
    assert ledger_of(tmp_path / "r") == ledger_of(result.run_dir)


def test_a_refinement_repeats_by_its_own_rule_alone(tmp_path):
    its = run(tmp_path / "r", 20, refinement={"rungs": [9, 27]})
    assert len(its.evaluations) > 20 and not any(e.replicate for e in its.evaluations)
    problem = load_problem("synthetic", NOISY)
    with pytest.raises(UsageError, match="repeats=False"):
        Refinement(SurrogateOptimizer(problem), [9, 27], continues=False, metrics={})


def test_configurations_all_differ_without_replicates(tmp_path):
    its = run(tmp_path / "r", 24, surrogate={"model": "gp", "repeats": False})
    assert len({str(e.configuration) for e in its.evaluations}) == 24
