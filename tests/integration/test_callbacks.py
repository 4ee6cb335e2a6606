"""Callbacks see a run whole, whatever stopped it, and nothing that they do loses what is recorded."""

import logging
import os
import re
import shlex
from pathlib import Path

import pytest

import evo_moo
from evo_moo.errors import RunStoppedError, UsageError
from evo_moo.report.summary import Summary
from evo_moo.run.callbacks import MOST_FAILURES
from evo_moo.storage.reading import reading
from tests.integration.running import USER_FILE, ledger_of
from tests.integration.running import evo_moo as command_line

N_EVALS, POP_SIZE = 24, 6


class Mixed(evo_moo.SearchProblem):
    variables = {"x": evo_moo.Real(0, 1), "n": evo_moo.Integer(1, 9)}
    objectives = {"loss": "min", "size": "max"}
    constraints = {"size": {"at_most": 8}}

    def evaluate(self, config):
        if config["n"] in (3, 5):
            raise ArithmeticError("no such n")
        return {"loss": config["x"] * config["n"], "size": float(config["n"])}


class Seen(evo_moo.Callback):
    """Notes all that it is told; stops or fails where it is told to."""

    def __init__(self, stop_at=0, fail_at=(), run_dir=None):
        self.calls, self.is_replay, self.ends = [], [], []
        self.stop_at, self.fail_at, self.run_dir = stop_at, fail_at, run_dir

    def on_begin(self, run):
        self.begun = run.path, run.goals, run.metrics["loss"], run.job["search"]["pop_size"]

    def on_evaluation(self, run, evaluation):
        self.note(run, (evaluation.id, evaluation.status, evaluation.metrics, evaluation.feasible))
        if self.run_dir is not None:
            with reading(self.run_dir) as ledger:
                assert ledger.of_ids([evaluation.id])[0].status == evaluation.status
        if evaluation.id in self.fail_at:
            raise OSError("no route to the dashboard")
        if evaluation.id == self.stop_at and not run.is_replay:
            raise RunStoppedError("good enough")

    def on_generation(self, run, generation, population):
        self.note(run, (generation, [(e.id, e.status, e.metrics) for e in population]))

    def on_end(self, run, state):
        self.ends.append(state)

    def note(self, run, what):
        self.calls.append(what)
        self.is_replay.append(run.is_replay)


def search(run_dir, *callbacks, mode="generational", workers=1, algorithm="nsga2"):
    return evo_moo.search(
        Mixed(),
        algorithm,
        pop_size=POP_SIZE,
        termination=("n_evals", N_EVALS),
        seed=4,
        workers=workers,
        surrogate="none",
        mode=mode,
        run_dir=run_dir,
        callbacks=callbacks,
    )


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_each_evaluation_and_each_generation_is_told_once(tmp_path, mode):
    seen = Seen(run_dir=tmp_path / "r")
    result = search(tmp_path / "r", seen, mode=mode)
    told = [call for call in seen.calls if isinstance(call[1], str)]
    assert told == [(e.id, e.status, e.metrics, e.feasible) for e in result.evaluations]
    assert {status for _, status, *_ in told} == {"ok", "failed"} and {f for *_, f in told} == {True, False}
    places = [i for i, call in enumerate(seen.calls) if not isinstance(call[1], str)]
    assert places == [7 * k + 6 for k in range(N_EVALS // POP_SIZE)]
    assert not any(seen.is_replay) and seen.ends == ["finished"]
    assert seen.begun == (tmp_path / "r", result.goals, result.known_metrics["loss"], POP_SIZE)


@pytest.mark.parametrize("name", [None, "a run"])
def test_a_stopped_search_hands_over_what_it_measured(tmp_path, name):
    run_dir = name and tmp_path / name
    with pytest.raises(evo_moo.RunStoppedError, match="stopped by Seen at evaluation 8: good enough; ") as stopped:
        search(run_dir, Seen(stop_at=8))
    result = stopped.value.result
    assert len(result.evaluations) == 8 and result.front and result.run_dir == run_dir
    way_on = "recorded, and `evo_moo.search` as before, with this `run_dir`, goes on"
    assert (way_on if name else "but `error.result` has what was measured") in str(stopped.value)


@pytest.mark.slow
def test_a_stopped_run_names_the_command_that_goes_on(tmp_path):
    run_dir = tmp_path / "a run"
    with pytest.raises(evo_moo.RunStoppedError) as stopped:
        seen, small = Seen(stop_at=8), f"{USER_FILE}:Small"
        evo_moo.search(small, "nsga2", 8, ("n_evals", 20), surrogate="none", run_dir=run_dir, callbacks=[seen])
    (command,) = re.findall(r"`evo-moo (.*)` goes on", str(stopped.value))
    command_line(*shlex.split(command), cwd=tmp_path)
    assert len(evo_moo.Result.read(run_dir).evaluations) == 20


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_a_resumed_run_is_told_as_one_left_in_peace(tmp_path, mode):
    peace, first, second, third = Seen(), Seen(stop_at=8), Seen(), Seen()
    search(tmp_path / "peace", peace, mode=mode)
    with pytest.raises(RunStoppedError, match="stopped by Seen at evaluation 8: good enough"):
        search(tmp_path / "war", first, mode=mode)
    assert first.ends == ["stopped"] and first.calls == peace.calls[: len(first.calls)]
    search(tmp_path / "war", second, mode=mode)
    assert second.calls == peace.calls
    assert second.is_replay == [True] * len(first.calls) + [False] * (len(peace.calls) - len(first.calls))
    evo_moo.resume(tmp_path / "war", Mixed(), callbacks=[third])
    assert third.calls == peace.calls and all(third.is_replay) and third.ends == ["finished"]
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")


@pytest.mark.parametrize("algorithm", ["nsga2", "weighted-sum", "tchebycheff"])
def test_a_killed_run_is_told_as_one_left_in_peace(tmp_path: Path, algorithm):
    class Kills(evo_moo.Callback):
        def on_evaluation(self, run, evaluation):
            if evaluation.id == 15:
                os._exit(9)

    peace, after = Seen(), Seen()
    search(tmp_path / "peace", peace, algorithm=algorithm)
    if (pid := os.fork()) == 0:
        search(tmp_path / "war", Kills(), algorithm=algorithm)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    search(tmp_path / "war", after, algorithm=algorithm)
    assert after.calls == peace.calls and sum(after.is_replay) == 15 + 2
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")


def test_a_vectorised_problem_is_told_whole_generations():
    seen = Seen()
    result = evo_moo.search(
        "pymoo:bnh", pop_size=10, termination=("n_gen", 3), surrogate="none", callbacks=[Numbers(seen)]
    )
    assert [call[0] for call in seen.calls] == [*range(1, 11), 1, *range(11, 21), 2, *range(21, 31), 3]
    assert [e.metrics for e in result.evaluations] == [call[1] for call in seen.calls if len(call) == 2]


class Numbers(evo_moo.Callback):
    def __init__(self, seen):
        self.seen = seen

    def on_evaluation(self, run, evaluation):
        self.seen.calls.append((evaluation.id, evaluation.metrics))

    def on_generation(self, run, generation, population):
        self.seen.calls.append((generation,))


def test_a_callback_that_fails_stops_nothing_and_loses_nothing(tmp_path, caplog):
    flaky, broken, sound = Seen(fail_at=(2, 5)), Seen(fail_at=range(100)), Seen()
    with caplog.at_level(logging.WARNING, logger="evo_moo"):
        search(tmp_path / "r", flaky, broken, sound)
    search(tmp_path / "peace")
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "peace")
    assert flaky.calls == sound.calls and len(broken.calls) == MOST_FAILURES
    with reading(tmp_path / "r") as ledger:
        events = [detail for _, kind, detail in ledger.events() if kind == "callback failed"]
    assert [event["at"] for event in events] == [f"evaluation {i}" for i in (1, 2, 2, 3, 5)]
    assert [event["dropped"] for event in events] == [False, False, False, True, False]
    assert "OSError: no route to the dashboard; it is called no more" in caplog.text


def test_a_callback_that_cannot_begin_is_called_no_more():
    class Bad(Seen):
        def on_begin(self, run):
            raise OSError("no such server")

    bad = Bad()
    assert search(None, bad).n_evaluations == N_EVALS
    assert bad.calls == bad.ends == []


def test_object_that_is_no_callback_is_refused_before_any_write(tmp_path):
    with pytest.raises(UsageError, match=r"`callbacks` must hold objects of classes that inherit evo_moo\.Callback"):
        search(tmp_path / "r", print)
    assert not (tmp_path / "r").exists()


def test_the_summary_is_that_of_the_result():
    class Last(evo_moo.Callback):
        def on_begin(self, run):
            self.summary, self.rows = Summary(run.goals), []

        def on_evaluation(self, run, evaluation):
            self.summary.see(evaluation)

        def on_generation(self, run, generation, population):
            self.rows.append(self.summary.numbers(generation, run.boxes))

    last = Last()
    result = search(None, last)
    best = last.rows[-1]
    assert best["n_evals"] == N_EVALS
    assert best["best.loss"] == min(m["loss"] for m in result.metrics)
    assert best["best.size"] == max(m["size"] for m in result.metrics)
    volumes = [row["hypervolume"] for row in last.rows]
    assert volumes == sorted(volumes) and volumes[-1] == result.hypervolume() > 0
