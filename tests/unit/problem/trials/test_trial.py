"""The trial that a define-by-run objective gets."""

from typing import Any

import pytest

from evo_moo import MetricError, SpaceError
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import Bounds, Report, TrainingStopped
from evo_moo.problem.trials.trial import Trial, TrialPruned, is_pruning


class Net:
    """What a choice may be that is no JSON."""


def test_values_of_the_configuration_are_handed_out() -> None:
    trial = Trial({"lr": 0.01, "n": 3, "act": "relu", "net": "Net"}, seed=1)
    assert (trial.suggest_float("lr", 1e-4, 1, log=True), trial.suggest_int("n", 1, 4)) == (0.01, 3)
    assert trial.suggest_categorical("act", ("relu", "gelu")) == "relu"
    assert trial.suggest_categorical("net", [Net, int]) is Net
    assert trial.params == {"lr": 0.01, "n": 3, "act": "relu", "net": Net} and trial.unlearnt == {}


def test_missing_values_are_drawn_by_seed_and_name() -> None:
    def drawn(seed: int, first: str) -> Any:
        trial = Trial({}, seed)
        trial.suggest_float(first, 0, 1)
        return trial.suggest_float("x", 0, 1), trial.unlearnt

    assert drawn(1, "a")[0] == drawn(1, "b")[0] != drawn(2, "a")[0]
    assert drawn(1, "a")[1].keys() == {"a", "x"}


def test_a_value_outside_of_the_bounds_is_moved_and_noted() -> None:
    trial = Trial({"n": 90, "w": 40}, seed=1)
    assert (trial.suggest_int("n", 1, 20), trial.suggest_int("w", 16, 70, step=16)) == (20, 48)
    assert trial.unlearnt == {"n": 20, "w": 48}


def test_a_name_asked_for_twice_has_one_value() -> None:
    trial = Trial({}, seed=1)
    assert trial.suggest_float("x", 0, 1) == trial.suggest_float("x", 0, 1)
    with pytest.raises(SpaceError, match="`x`: a name must stand for one kind of value, but is float and int"):
        trial.suggest_int("x", 0, 1)


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (
            lambda t: t.suggest_float("x", 1, 0),
            "low must be a finite number up to high, but low is 1.0 and high is 0.0",
        ),
        (lambda t: t.suggest_float("x", 0, 1, log=True), "a log range must begin above 0 and have no step"),
        (lambda t: t.suggest_int("x", 0, 9, step=0), "a step must be above 0, but is 0"),
        (lambda t: t.suggest_categorical("x", []), "choices must be at least one and all different"),
        (lambda t: t.suggest_categorical("x", [object()]), "choices must have names"),
    ],
)
def test_suggestions_without_sense_are_refused(asked: Any, fault: str) -> None:
    with pytest.raises(SpaceError, match=f"`x`: {fault}"):
        asked(Trial({}, seed=1))


def test_should_prune_says_what_the_bounds_say() -> None:
    goals = Goals.declared({"value": "min"}, {})
    bounds = Bounds(fronts=[[[1.0]]], gains={2: [-0.5]}, usual={2: [-0.1]}, last=9)
    trial = Trial({}, 1, Report(goals, bounds))
    trial.report(9.0, step=0)
    assert not trial.should_prune()
    trial.report(9.0, step=1)
    assert trial.should_prune()
    assert isinstance(trial.pruned(), TrainingStopped) and "after epoch 2 of 9" in str(trial.pruned())


def test_a_report_that_is_no_number_prunes() -> None:
    trial = Trial({}, 1)
    trial.report(float("nan"), step=0)
    assert trial.should_prune() and isinstance(trial.pruned(), MetricError)


def test_reports_of_several_objectives_have_as_many_values() -> None:
    trial = Trial({}, 1, objectives=["a", "b"])
    trial.report((1, 2), step=3)
    assert trial.n_steps == 4
    with pytest.raises(MetricError, match="a report must have a value for each of a, b, but has 1"):
        trial.report(1, step=5)


def test_attributes_of_studies_are_refused() -> None:
    trial = Trial({}, 1)
    with pytest.raises(AttributeError, match=r"`trial.study` is Optuna's alone"):
        _ = trial.study
    assert trial.number == 1


def test_pruning_is_recognised_by_its_name() -> None:
    foreign = type("TrialPruned", (Exception,), {})
    assert is_pruning(TrialPruned()) and is_pruning(foreign()) and not is_pruning(ValueError())
