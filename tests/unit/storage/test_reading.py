import pytest

from evo_moo import Result
from evo_moo.analysis.evaluated_front import MOST_HELD
from evo_moo.report.export import export_run
from evo_moo.storage.reading import StoredEvaluations, reading
from tests.unit.long_runs import long_run, peak_mb

N_SHORT, N_LONG = 2 * MOST_HELD + 100, 4 * MOST_HELD


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return long_run(tmp_path_factory.mktemp("short"), N_SHORT)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return long_run(tmp_path_factory.mktemp("long"), N_LONG)


@pytest.mark.parametrize("place", [0, 7, -1, slice(3), slice(5, 1500, 250), slice(None, None, -300), slice(9, 2)])
def test_stored_evaluations_are_a_sequence(short, place):
    with reading(short) as ledger:
        held, stored = list(ledger.evaluations()), StoredEvaluations(short, ledger)
    assert len(stored) == len(held) and list(stored) == held
    assert stored[place] == held[place]


def test_stored_evaluations_end_where_the_run_did(short):
    with reading(short) as ledger:
        stored = StoredEvaluations(short, ledger)
    with pytest.raises(IndexError):
        stored[len(stored)]


def test_a_long_result_is_that_of_its_evaluations(short):
    result = Result.read(short)
    ended = [e for e in result.evaluations if e.status == "ok"]
    assert [e.id for e in result.measured] == [e.id for e in ended]
    assert (result.all_F == result.goals.F([e.metrics for e in ended if e.feasible])).all()
    assert result.best_under().metrics["a"] in {e.metrics["a"] for e in result.front}


READERS = {
    "result": lambda run: Result.read(run).all_F.sum(),
    "csv": lambda run: export_run(run, "csv", run / "out.csv", force=True),
    "choice": lambda run: Result.read(run).best_under(),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_reader_takes_little_more_for_a_long_run(reader, short, long):
    reader(short)  # what is imported and kept from the first time on
    # An evaluation in memory takes more than a kilobyte.
    assert peak_mb(reader, long) - peak_mb(reader, short) < 0.0006 * (N_LONG - N_SHORT)
