"""What a run measured, as rows: with contexts each row has the best of its ranks."""

import numpy as np
import pytest

import evo_moo
from evo_moo.analysis.expected_front import expected_front
from evo_moo.analysis.run_table import RunTable
from evo_moo.errors import MetricError
from tests.integration.running import USER_FILE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices") / "r"
    problem, budget = f"{USER_FILE.with_name('devices.py')}:Devices", ("n_evals", 60)
    evo_moo.search(problem, "random", termination=budget, workers=1, run_dir=folder, surrogate="none")
    return folder


def test_rank_is_the_best_over_contexts(run):
    table, result = RunTable.read(run), evo_moo.Result.read(run)
    within = {name: table.within(name) for name in result.contexts}
    assert np.array_equal(table.rank, np.min([each.rank for each in within.values()], axis=0))
    for name, each in within.items():
        front = {e.id for e in result.within(name).front}
        assert {key for key, row in each.ids.items() if each.rank[row] == 0} == front
        assert each.checked_metrics(None) == ["error", f"latency_ms@{name}"]
    assert {key for key, row in table.ids.items() if table.rank[row] == 0} == {e.id for e in result.front}
    with pytest.raises(MetricError, match="a context must be one of"):
        table.within("tablet")


def test_expected_fronts_without_noise_are_the_measured(run):
    result = evo_moo.Result.read(run)
    told = expected_front(run)
    assert {m["id"]: tuple(m["contexts"]) for m in told["front"]} == {e.id: result.serves[e.id] for e in result.front}
    errors = [member["metrics"]["error"]["measured"] for member in told["front"]]
    assert errors == sorted(errors)
    phone = expected_front(run, "phone")
    assert list(phone["objectives"]) == ["error", "latency_ms@phone"]
    assert [member["id"] for member in phone["front"]] == [e.id for e in result.within("phone").front]
