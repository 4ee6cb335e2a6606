import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from evo_moo.errors import RunFolderError
from evo_moo.evaluation.task import Outcome
from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.problem.metrics import checked_metrics
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.migrations import FORMAT

CONFIGURATION = {"lr": 0.1, "act": "relu", "n": 3, "on": True, "none": None, "name": "é"}
X = np.array([0.1, 0.0, 3.0, -0.0])


def kept(metrics):
    return 0.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.sqlite"


@pytest.fixture(params=["file", "memory"])
def ledger(request, path):
    with closing(Ledger(path if request.param == "file" else None)) as ledger:
        yield ledger


def ask(ledger, *ids):
    ledger.record_asked((Candidate(i, 1, CONFIGURATION | {"n": i}, X), 2**32 - i) for i in ids)


def ids_of(ledger):
    return [evaluation.id for evaluation in ledger.evaluations()]


def test_asked_candidates_are_recorded_before_they_end(ledger):
    ask(ledger, 1)
    (evaluation,) = ledger.evaluations()
    assert (evaluation.id, evaluation.generation, evaluation.seed) == (1, 1, 2**32 - 1)
    assert evaluation.configuration == CONFIGURATION | {"n": 1}
    assert evaluation.x == X.tobytes()
    assert (evaluation.status, evaluation.metrics, evaluation.violation) == ("asked", {}, None)
    assert not evaluation.feasible


def test_origin_of_a_configuration_comes_back(ledger):
    ledger.record_asked(
        [
            (Candidate(1, 1, {}, X, "sample"), 1),
            (Candidate(2, 2, {}, X, "mating", (1, 9)), 2),
            (Candidate(3, 2, {}, X, "infill", (2,), {"loss": [0.1, 0.2]}), 3),
        ]
    )
    assert [(e.origin, e.parents, e.prediction) for e in ledger.evaluations()] == [
        ("sample", [], None),
        ("mating", [1, 9], None),
        ("infill", [2], {"loss": [0.1, 0.2]}),
    ]


def test_outcomes_come_back_as_they_were_recorded(ledger):
    outcomes = [
        Outcome(1, "ok", {"accuracy": 0.1 + 0.2, "n_params": 7}, "", "", 1.5, 2.5, 99, 2),
        Outcome(2, "ok", {"accuracy": 0.5}),
        Outcome(3, "infeasible", {"latency_ms": 30.0}, "`latency_ms` must be at most 20, but is 30"),
        Outcome(4, "failed", {}, "ValueError: é", "Traceback\n  ..."),
    ]
    ask(ledger, 1, 2, 3, 4, 5)
    violations = [0.0, 0.25, 10.0, None]
    ledger.record_outcomes(outcomes, lambda metrics: violations[[o.metrics for o in outcomes].index(metrics)])
    found = list(ledger.ended())
    for outcome, violation, evaluation in zip(outcomes, violations, found, strict=True):
        elsewhere = {"profile_measured_at", "measurements", "pooled", "curve", "of_points", "place"}
        for field in set(outcome._fields) - elsewhere:
            assert getattr(evaluation, field) == getattr(outcome, field)
        assert evaluation.violation == violation
    assert [evaluation.feasible for evaluation in found] == [True, False, False, False]
    assert ledger.counts() == {"asked": 1, "ok": 2, "infeasible": 1, "failed": 1}


def test_curves_come_back_and_what_was_stopped_costs_its_share(ledger):
    whole = LearningCurve([1, 2], {"accuracy": [0.1, 0.1 + 0.2]})
    stopped = whole._replace(judged=True, would_stop=2, share_trained=0.25, expected={"accuracy": 0.4})
    ask(ledger, 1, 2)
    ledger.record_outcomes(
        [
            Outcome(2, "stopped", {"accuracy": 0.3}, cost=0.25, curve=stopped),
            Outcome(1, "ok", {}, curve=whole),
        ],
        kept,
    )
    assert ledger.curves() == {1: whole, 2: stopped}
    assert [e.cost for e in ledger.evaluations()] == [1.0, 0.25]


def test_evaluations_are_in_the_order_of_asking(ledger):
    ask(ledger, 3, 1, 2)
    assert ids_of(ledger) == [1, 2, 3]
    assert [e.id for e in ledger.up_to(2)] == [1, 2]
    assert list(ledger.encoded_rows(2)) == [X.tobytes()] * 2
    assert [e.id for e in ledger.of_ids([3, 9, 1, 3])] == [3, 1, 3] and ledger.of_ids([]) == []


def test_evaluations_are_chosen_by_how_they_ended(ledger):
    ask(ledger, 1, 2, 3, 4)
    prediction = {"loss": [0.1, 0.2]}
    ledger.record_asked([(Candidate(5, 1, {}, X, "replicate", (), prediction, replicate=1, continues=1, cost=0.5), 1)])
    statuses = {1: "ok", 2: "crashed", 3: "infeasible", 5: "ok"}
    ledger.record_outcomes([Outcome(key, status, {}) for key, status in statuses.items()], kept)
    chosen = {
        name: [e.id for e in evaluations]
        for name, evaluations in {
            "ended": ledger.ended(),
            "ok": ledger.ok(),
            "failed": ledger.failed(),
            "predicted": ledger.predicted(),
            "open": ledger.open_after(4),
            "with replicates": ledger.with_replicates(*ledger.of_ids([1])),
        }.items()
    }
    assert chosen == {
        "ended": [1, 2, 3, 5],
        "ok": [1, 5],
        "failed": [2],
        "predicted": [5],
        "open": [4, 5],
        "with replicates": [1, 5],
    }
    assert (ledger.cost(), ledger.cost_of_ended()) == (4.5, 3.5)


def test_facts_and_events_come_back(ledger):
    ledger.set_meta(state="new", job={"problem": {"use": "é"}, "n": [1, 2.5, None]})
    ledger.set_meta(state="running")
    facts = ledger.facts()
    assert (facts.state, facts.job) == ("running", {"problem": {"use": "é"}, "n": [1, 2.5, None]})
    ledger.record_event("retry", evaluation=3)
    ledger.record_event("stopped")
    assert [(kind, detail) for _, kind, detail in ledger.events()] == [("retry", {"evaluation": 3}), ("stopped", {})]


def test_the_last_generation_replaces_the_checkpoint(ledger):
    assert ledger.checkpoint() is None and ledger.last_generation() is None
    for generation, state in ((1, "first"), (2, "second")):
        ledger.record_generation(generation, 4 * generation, [2, 5], [5])
        ledger.record_checkpoint(state)
    assert ledger.checkpoint() == "second"
    assert ledger.last_generation() == (2, 8, [2, 5], [5])


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_a_transaction_is_written_whole_or_not_at_all(ledger, interruption):
    with ledger.transaction():
        ask(ledger, 1)
        ledger.set_meta(state="new")
    with pytest.raises(interruption), ledger.transaction():
        ask(ledger, 2)
        ledger.set_meta(state="running")
        ledger.record_generation(1, 2, [1], [1])
        ledger.record_checkpoint("state")
        raise interruption
    assert (ids_of(ledger), ledger.facts().state, ledger.checkpoint()) == ([1], "new", None)
    with ledger.transaction():
        ask(ledger, 3)
    assert ids_of(ledger) == [1, 3]


def test_an_evaluation_is_asked_only_once(ledger):
    ask(ledger, 1)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), ledger.transaction():
        ask(ledger, 2, 1)
    assert ids_of(ledger) == [1]


def test_a_ledger_is_opened_again(path):
    with closing(Ledger(path)) as ledger:
        ask(ledger, 1)
    with closing(Ledger(path)) as ledger:
        ask(ledger, 2)
        assert ids_of(ledger) == [1, 2]


def test_closing_leaves_one_plain_file(path):
    with closing(Ledger(path)) as ledger:
        ask(ledger, 1)
    assert list(path.parent.iterdir()) == [path]


def test_readers_see_what_a_writer_has_committed(path):
    with closing(Ledger(path)) as writer, closing(Ledger(path, writable=False)) as reader:
        ask(writer, 1)
        assert ids_of(reader) == [1]
        with writer.transaction():
            ask(writer, 2)
            assert ids_of(reader) == [1]
        assert ids_of(reader) == [1, 2]
    with closing(Ledger(path)) as ledger:
        assert ids_of(ledger) == [1, 2]


def test_a_reader_cannot_write_and_leaves_the_file_as_it_is(path):
    Ledger(path).close()
    before = path.read_bytes()
    with closing(Ledger(path, writable=False)) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        ask(reader, 1)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_reader_needs_a_file(path):
    with pytest.raises(RunFolderError, match="must be a ledger, but there is no such file"):
        Ledger(path, writable=False)
    assert not path.exists()


def foreign_database(path, user_version, table="CREATE TABLE songs (title TEXT)"):
    with closing(sqlite3.connect(path)) as db:
        db.execute(table)
        db.execute(f"PRAGMA user_version = {user_version}")
        db.commit()


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "must be a ledger that can be opened, but"),
        (lambda path: foreign_database(path, 0), f"of format {FORMAT}, but is of format 0"),
        (lambda path: foreign_database(path, FORMAT + 1), f"of format {FORMAT}, but is of format {FORMAT + 1}; read"),
        (
            lambda path: foreign_database(path, FORMAT + 1, "SELECT 1"),
            f"of format {FORMAT}, but is of format {FORMAT + 1}",
        ),
    ],
    ids=["garbage", "other database", "later format", "empty one of a later format"],
)
def test_a_foreign_file_is_refused(path, make, message, writable):
    make(path)
    with pytest.raises(RunFolderError, match=message):
        Ledger(path, writable=writable)


def test_ledger_in_a_missing_folder_is_a_run_folder_error(path):
    with pytest.raises(RunFolderError, match="must be a ledger that can be opened"):
        Ledger(path.parent / "missing" / "run.sqlite")


def test_a_refused_file_is_left_as_it_was(path):
    foreign_database(path, FORMAT + 1)
    before = path.read_bytes()
    with pytest.raises(RunFolderError):
        Ledger(path)
    assert path.read_bytes() == before


def test_every_metric_that_is_accepted_can_be_recorded(ledger):
    metrics = checked_metrics({"flops": 10**20})
    ask(ledger, 1)
    ledger.record_outcomes([Outcome(1, "ok", metrics)], kept)
    assert next(ledger.evaluations()).metrics["flops"] == 1e20


def test_any_reason_can_be_recorded(ledger):
    reason = "FileNotFoundError: " + os.fsdecode(b"caf\xe9")
    ask(ledger, 1)
    ledger.record_outcomes([Outcome(1, "failed", {}, reason)], kept)
    assert next(ledger.evaluations()).reason.startswith("FileNotFoundError: caf")
