"""Searches through the Python interface: determinism, pymoo's results, real trainings."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize
from pymoo.problems import get_problem

import evo_moo
from evo_moo.errors import JobError, MetricError, SearchFailedError, UsageError
from tests.integration.running import MEASURED, USER_FILE, front_of, ledger_of, reproducible


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3"])
def test_the_number_of_workers_changes_nothing(tmp_path: Path, algorithm: str) -> None:
    for name, workers in (("one", 1), ("three", 3)):
        evo_moo.search(
            f"{USER_FILE}:Small",
            algorithm=algorithm,
            pop_size=8,
            termination=("n_evals", 20),
            seed=5,
            workers=workers,
            run_dir=tmp_path / name,
            surrogate="auto" if algorithm == "nsga2" else "none",
        )
    assert ledger_of(tmp_path / "one") == ledger_of(tmp_path / "three")
    assert front_of(tmp_path / "one") == front_of(tmp_path / "three")


@pytest.mark.parametrize("name", ["zdt4", "kursawe", "bnh", "welded_beam"])
def test_a_plain_problem_gives_what_pymoo_gives(name: str) -> None:
    expected = minimize(get_problem(name), NSGA2(pop_size=40), ("n_evals", 600), seed=7)
    result = evo_moo.search(get_problem(name), pop_size=40, termination=("n_evals", 600), seed=7)
    assert np.array_equal(result.F, expected.F)
    assert np.array_equal(result.X, expected.X)
    if expected.G.size:
        assert np.array_equal(result.G, expected.G)


def test_a_budget_that_ends_within_a_generation_is_kept_exactly() -> None:
    result = evo_moo.search(f"{USER_FILE}:Small", pop_size=20, termination=("n_evals", 33), workers=1, surrogate="none")
    assert len(result.evaluations) == 33
    assert {e.generation for e in result.evaluations} == {1, 2}


def test_limits_on_profile_metrics_spare_the_evaluation() -> None:
    result = evo_moo.search(
        f"{USER_FILE}:Small", pop_size=20, termination=("n_gen", 2), workers=1, constraints={"size": {"at_most": 3}}
    )
    over = [e for e in result.evaluations if e.metrics.get("size", 0) > 3]
    assert over and all(e.status == "infeasible" and "loss" not in e.metrics for e in over)
    assert "`size` must be at most 3" in over[0].reason
    assert result.feasible and all(m["size"] <= 3 for m in result.metrics)


def test_front_without_feasible_points_is_nearest_and_flagged() -> None:
    result = evo_moo.search(
        f"{USER_FILE}:Small", pop_size=8, termination=("n_gen", 2), workers=1, constraints={"loss": {"at_most": -99}}
    )
    assert result.front and not result.feasible
    least = min(e.metrics["loss"] for e in result.evaluations if e.status == "ok")
    assert [m["loss"] for m in result.metrics] == [least]


@pytest.mark.slow
def test_problem_object_reaches_workers_and_resumes_with_itself(tmp_path: Path) -> None:
    class Local(evo_moo.SearchProblem):
        variables = {"x": evo_moo.Real(0, 1), "n": evo_moo.Integer(1, 5)}
        objectives = {"a": "min", "b": "min"}

        def evaluate(self, config):
            return {"a": config["x"] * config["n"], "b": (1 - config["x"]) / config["n"]}

    small = {"pop_size": 8, "termination": ("n_evals", 16), "surrogate": "none"}
    result = evo_moo.search(Local(), workers=2, run_dir=tmp_path / "r", **small)
    assert len(result.front) > 1
    with pytest.raises(UsageError, match=r"Python object.*Local: call evo_moo\.search again"):
        evo_moo.resume(tmp_path / "r")
    assert np.array_equal(evo_moo.resume(tmp_path / "r", Local()).F, result.F)


@pytest.mark.slow
def test_digits_are_trained_for_real_and_reproducibly(tmp_path: Path) -> None:
    common = {
        "pop_size": 4,
        "termination": ("n_evals", 5),
        "surrogate": "none",
        "options": {"epochs": 2, "copies": 2},
        "objectives": {"accuracy": "max", "flops": "min"},
    }
    two = evo_moo.search("digits_cnn", workers=2, run_dir=tmp_path / "two", **common)
    one = evo_moo.search("digits_cnn", workers=1, **common)
    assert [reproducible(m) for m in two.metrics] == [reproducible(m) for m in one.metrics]
    assert max(e.metrics["accuracy"] for e in two.evaluations) > 0.3  # by chance 0.1
    assert all(m[name] > 0 for m in two.metrics for name in (*MEASURED, "test_accuracy"))
    environment = json.loads((tmp_path / "two" / "environment.json").read_text())
    assert environment["packages"]["torch"] and environment["seed"] == 1
    two.plot(tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_arguments_are_listed_together() -> None:
    with pytest.raises(JobError) as caught:
        evo_moo.search("pymoo:zdt1", algorithm="nsga9", pop_size=1, termination=("n_evals", 0), seed=-1)
    assert len(caught.value.faults) == 4
    assert caught.value.faults[1] == "`search.pop_size` must be at least 4, but is 1"


@pytest.mark.parametrize("n_broken", [5, 6])
def test_search_fails_once_a_whole_population_has_failed(n_broken: int, tmp_path: Path) -> None:
    def broken_at_first(config):
        seen.append(config)
        if len(seen) <= n_broken:
            raise RuntimeError("no luck")
        return {"a": config["x"]}

    seen: list[dict[str, object]] = []
    options = {"variables": {"x": evo_moo.Real(0, 1)}, "objectives": {"a": "min"}, "pop_size": 6, "workers": 1}
    options["surrogate"] = "none"
    if n_broken == 6:
        with pytest.raises(SearchFailedError, match="all of the first 6 evaluations failed"):
            evo_moo.search(broken_at_first, termination=("n_evals", 20), run_dir=tmp_path, **options)
    else:
        evo_moo.search(broken_at_first, termination=("n_evals", 20), run_dir=tmp_path, **options)
    assert len(evo_moo.Result.read(tmp_path).evaluations) == (6 if n_broken == 6 else 20)


def test_small_budget_that_fails_as_a_whole_is_an_error(tmp_path: Path) -> None:
    def broken(config):
        raise asyncio.CancelledError

    with pytest.raises(SearchFailedError, match="CancelledError"):
        evo_moo.search(
            broken,
            variables={"x": evo_moo.Real(0, 1)},
            objectives={"a": "min"},
            termination=("n_evals", 3),
            workers=1,
            run_dir=tmp_path,
        )
    result = evo_moo.Result.read(tmp_path)
    assert [e.status for e in result.evaluations] == ["failed"] * 3
    assert result.front == [] and result.X.shape[0] == result.F.shape[0] == 0 and result.hypervolume() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objectives": "a"}, "must be a dict"),
        ({"variables": {"x": 1}}, "`problem`: `x`: must be a Real"),
        ({"constraints": {"a": 3}}, "must be a limit such as"),
        ({"options": {"a": 1}}, "`options` must go with a problem named by a reference"),
        ({"start": {"x": 0.5}}, "`search.start`"),
        ({"start": [{"y": 0.5}]}, "`search.start[0]`"),
        ({"termination": ("n_evals", None)}, "`budget` must set"),
        ({"mode": "fast"}, "`search.mode` must be"),
    ],
)
def test_wrong_arguments_are_explained(arguments: dict, message: str) -> None:
    sound = {"variables": {"x": evo_moo.Real(0, 1)}, "objectives": {"a": "min"}, "termination": ("n_evals", 4)}
    with pytest.raises(JobError) as caught:
        evo_moo.search(lambda config: {"a": config["x"]}, **sound | arguments)
    assert message in "; ".join(caught.value.faults)


def test_reference_points_are_checked() -> None:
    result = evo_moo.search("pymoo:bnh", termination=("n_evals", 100), pop_size=20)
    assert result.hypervolume({"f1": 140, "f2": 50}) == result.hypervolume([140, 50]) > 0
    for wrong in ({"f1": 4}, [4], 4, [4, 4, 4]):
        with pytest.raises(MetricError, match="`ref_point` must hold"):
            result.hypervolume(wrong)
    assert repr(result).startswith("<Result: front of ") and len(repr(result)) < 100
