import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import evo_moo
from evo_moo.analysis import surrogate_quality as module
from evo_moo.analysis.surrogate_quality import Accuracy, surrogate_quality
from evo_moo.cli.main import app
from evo_moo.cli.model_tables import print_surrogate
from evo_moo.evaluation.task import Outcome
from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.goals import Goals
from evo_moo.storage.ledger import Ledger

GOLDEN = Path(__file__).parents[2] / "golden"
GP = {"rank_correlation": 0.5, "log_likelihood": -1.0, "n": 4}


def ledger_of(predictions, measured, decisions):
    """A ledger of the metrics ``a`` and ``b[red]``, one evaluation per prediction."""
    goals = Goals.declared({"a": "min", "b[red]": "max"}, {})
    ledger = Ledger(None)
    with ledger.transaction():
        ledger.set_meta(
            job={"surrogate": {"model": "auto"}}, goals=goals.to_json(), metrics={"a": {"unit": "ms", "log": True}}
        )
        candidates = [
            Candidate(i, 1, {"x": i}, np.zeros(1), "infill", (), prediction)
            for i, prediction in enumerate(predictions, 1)
        ]
        ledger.record_asked((c, 0) for c in candidates)
        outcomes = [Outcome(i, "ok", metrics) for i, metrics in enumerate(measured, 1) if metrics]
        ledger.record_outcomes(outcomes, lambda metrics: 0.0)
        for decision in decisions:
            ledger.record_event("surrogate", **decision)
    return ledger


def test_pairs_of_many_predictions_are_thinned_but_all_count(monkeypatch):
    predictions = [{"a": (float(i), 0.1)} for i in range(50)]
    monkeypatch.setattr(module, "MOST_PAIRS", 5)
    quality = surrogate_quality(ledger_of(predictions, [{"a": float(i)} for i in range(50)], []))
    assert [pair[0] for pair in quality.metrics["a"].pairs] == [1, 13, 25, 37, 50]
    assert quality.metrics["a"].predicted == Accuracy(50, 1.0, 1.0)


def test_predictions_are_counted_by_hand():
    predictions = [{"a": [1.0, 0.5]}, {"a": [2.0, 0.5]}, {"a": [3.0, 0.0]}, {"a": [None, 1.0]}, None, {"a": [9.0, 1.0]}]
    measured = [{"a": 2.0}, {"a": 1.0}, {"a": 3.5}, {"a": 1.0}, {"a": 1.0}, None]
    its = surrogate_quality(ledger_of(predictions, measured, [])).metrics["a"]
    assert its.pairs == [[1, 1.0, 0.5, 2.0], [2, 2.0, 0.5, 1.0], [3, 3.0, 0.0, 3.5]]
    # Two of three pairs are in order; two values are just two standard deviations off.
    assert its.predicted == Accuracy(3, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (its.unit, its.log, its.model, its.history) == ("ms", True, None, [])


def test_the_last_choice_counts_and_one_made_again_counts_once(capsys):
    earlier = {"metric": "a", "n": 4, "chosen": "none", "scores": {"gp": GP}}
    later = {"metric": "a", "n": 8, "chosen": "gp", "scores": {"gp": {**GP, "n": 8}}}
    fault = {"metric": "b[red]", "model": "rf", "fault": "as asked"}
    view = surrogate_quality(ledger_of([], [], [earlier, later, fault, later, fault]))
    a, b = view.metrics.values()
    assert a.model == "gp" and [(look.n, look.chosen) for look in a.history] == [(4, "none"), (8, "gp")]
    assert b.faults == ["rf: as asked"]
    assert a.predicted == Accuracy(0, None, None)
    print_surrogate(view)
    shown = capsys.readouterr().out
    assert "0.50 (-1.00)" in shown and "b[red]: rf: as asked" in shown and "evo-moo importance" in shown


def test_values_that_are_not_learnt_with_the_others_are_told(capsys):
    # Choices of 12 and, 3 of them far out by then, 15 evaluations; the second one is learnt from as few as the first.
    choices = [{"metric": "a", "n": 12, "n_far_out": n, "chosen": "gp", "scores": {"gp": GP}} for n in (0, 3)]
    view = surrogate_quality(ledger_of([None], [None], choices))
    assert [look.n for look in view.metrics["a"].history] == [12, 15]
    assert (view.metrics["a"].n_far_out, view.metrics["b[red]"].n_far_out) == (3, 0)
    print_surrogate(view)
    assert "a: 3 values are so poor that they are learnt as failures" in capsys.readouterr().out


def test_a_run_before_its_first_choice_says_so(capsys):
    print_surrogate(surrogate_quality(ledger_of([None], [None], [])))
    assert "No model was chosen yet" in capsys.readouterr().out


def shown(*arguments):
    result = CliRunner().invoke(app, ["show", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_run_without_models_says_so():
    run = GOLDEN / "format_4" / "stopped"
    assert "had no surrogate models" in shown(run, "--surrogate")
    nothing = {"settings": None, "metrics": {}, "earlier": [], "learnt": "evaluations"}
    assert json.loads(shown(run, "--surrogate", "--json")) == nothing


def test_a_real_run_shows_its_models_and_draws_them(tmp_path):
    run = tmp_path / "r"
    evo_moo.search("pymoo:bnh", pop_size=12, termination=("n_evals", 16), workers=1, surrogate="gp", run_dir=run)
    view = json.loads(shown(run, "--surrogate", "--json", "--plot"))
    its = view["metrics"]["f1"]
    assert its["model"] == "gp" and [pair[0] for pair in its["pairs"]] == list(range(13, 17))
    assert (run / "surrogate.png").read_bytes().startswith(b"\x89PNG")
