"""The benchmark of search quality: its problems, its records and its report."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import moocore
import numpy as np
import pytest

from tests.benchmarks.search import digits, engineering, records, report, runner
from tests.benchmarks.search.fronts import Scale, scale, searched, without_ties
from tests.benchmarks.search.methods import METHODS, run
from tests.benchmarks.search.problems import HELD_OUT, PROBLEMS, Problem, build

NEEDS_DATA = pytest.mark.skipif("EVO_MOO_DATA" not in os.environ, reason="EVO_MOO_DATA names no folder with real data")


def built(name: str, cache: Path) -> Problem:
    if name == "digits":
        np.save(cache / "digits.npy", np.linspace(60, 1, len(list(digits.cells()))))
    return build(name, cache)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=NEEDS_DATA if "nasbench" in name else ()) for name in (*PROBLEMS, *HELD_OUT)],
)
def test_every_problem_evaluates_what_its_space_draws(name: str, tmp_path: Path) -> None:
    problem = built(name, tmp_path)
    F, G = problem.evaluate(problem.space.decode(problem.space.sample(5, np.random.default_rng(0))))
    assert F.shape == (5, problem.n_obj)
    assert G.shape == (5, problem.n_constr)
    assert np.isfinite(F).all()
    assert not problem.space.log.any()


# Exact: the area between the curve and the reference; for a sphere the reference's cube less an eighth of the ball.
@pytest.mark.parametrize(
    ("name", "hypervolume"),
    [
        ("zdt1", 1.21 - 1 / 3),
        ("zdt2", 1.21 - 2 / 3),
        ("zdt4", 1.21 - 1 / 3),
        ("dtlz1", 1.21 - 1 / 2),
        ("dtlz2", 1.331 - np.pi / 6),
        ("wfg4", 1.331 - np.pi / 6),
    ],
)
def test_true_fronts_have_their_known_hypervolume(name: str, hypervolume: float, tmp_path: Path) -> None:
    assert scale(build(name, tmp_path), tmp_path).hypervolume == pytest.approx(hypervolume, rel=2e-3)


@pytest.mark.parametrize("name", ["zdt3", "dtlz7", "c2dtlz2", "bnh"])
def test_true_front_has_share_one_and_random_points_add_nothing(name: str, tmp_path: Path) -> None:
    problem = build(name, tmp_path)
    assert problem.front is not None
    front = problem.front()
    measure = Scale.of_front(front)
    assert measure.share(front) == pytest.approx(1)
    F, G = problem.evaluate(problem.space.decode(problem.space.sample(2000, np.random.default_rng(0))))
    reached = np.concatenate([front, F[(G <= 0).all(axis=1)]])
    assert measure.share(reached) == pytest.approx(1, abs=2e-3)


def test_re21_has_the_published_extremes_of_its_front() -> None:
    root = np.sqrt(2.0)
    F = engineering.re21(np.array([[1, root, root, 1], [3, 3, root, 3]]))
    np.testing.assert_allclose(F[:, 0], [1237.8414230005742, 2886.3695604236013])
    np.testing.assert_allclose(F[:, 1], [0.04, 0.002761423749158419])


# Computed with the reference implementation of the suite.
@pytest.mark.parametrize(
    ("name", "x", "F"),
    [
        ("re23", [5, 9, 33.0, 77.0], [1671.1669691406248, 882035.8020291266]),
        ("re24", [0.6, 0.7], [84.6, 23.0926465824425]),
        ("re33", [70.0, 80.0, 2000.0, 15.0], [1.029, 2.905325443786982, 10.024628450106157]),
        ("re34", [1.2, 1.6, 2.0, 2.4, 2.8], [1686.97198644, 10.352528, 0.0905]),
        ("re37", [0.2, 0.4, 0.6, 0.8], [0.4403096, 0.594984, 0.896704]),
    ],
)
def test_formulas_give_the_values_of_the_suite(name: str, x: list[float], F: list[float]) -> None:
    np.testing.assert_allclose(engineering.FORMULAS[name][0](np.array([x]))[0], F)


def test_a_front_that_is_not_known_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.benchmarks.search.fronts.POP_SIZE", 40)
    monkeypatch.setattr("tests.benchmarks.search.fronts.N_GENERATIONS", 30)
    monkeypatch.setattr("tests.benchmarks.search.fronts.SEEDS", (1, 2))
    problem = build("bnh", tmp_path)
    found = searched(problem)
    assert scale(problem, tmp_path).share(found) == pytest.approx(1, abs=0.01)
    # A point that is better by a trifle does not decide the nadir.
    trifle = np.array([[found[:, 0].max() + 50, found[:, 1].min() - 1e-6]])
    assert without_ties(np.concatenate([found, trifle])).max() < trifle.max()
    # What is known once is not searched for again.
    again = dataclasses.replace(problem, front=lambda: np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert scale(again, tmp_path).hypervolume == scale(problem, tmp_path).hypervolume


@NEEDS_DATA
@pytest.mark.parametrize(("device", "n"), [("gold_6226", 36), ("fpga", 13), ("titan_rtx_256", 43)])
def test_the_front_of_nasbench201_is_that_of_its_table(device: str, n: int, tmp_path: Path) -> None:
    problem = built(f"nasbench201-{device}", tmp_path)
    assert problem.front is not None
    front = problem.front()
    front = front[moocore.is_nondominated(front, keep_weakly=False)]
    assert len(front) == n
    assert front[:, 0].min() == pytest.approx(100 - 94.373, abs=1e-3)


def test_infeasible_and_far_points_add_no_share() -> None:
    measure = Scale(np.zeros(2), np.ones(2), 1.21)
    F = [[0.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.6, 0.6]]
    shares = measure.shares(F, [[1.0], [0.0], [0.0], [0.0], [0.0]])
    np.testing.assert_allclose(shares, [0, 0, 0.01 / 1.21, 0.36 / 1.21, 0.36 / 1.21])


def test_cells_of_the_digits_are_the_whole_space() -> None:
    space = Problem("digits", digits.VARIABLES, 2, 0, lambda _: (np.empty(0), np.empty(0))).space
    cells = list(digits.cells())
    assert len(cells) == space.size() == len(np.unique(space.encode(cells), axis=0))
    assert digits.n_parameters(cells[0]) == (64 + 1) * 8 + (8 + 1) * 10


@pytest.mark.parametrize("method", ["random", "sobol", "pymoo-nsga2", "optuna-tpe", "evo-moo-plain"])
@pytest.mark.parametrize("name", ["bnh", "re23", "digits"])
def test_methods_give_just_the_evaluations_asked_for(method: str, name: str, tmp_path: Path) -> None:
    problem = built(name, tmp_path)
    first, again = (list(run(METHODS[method], problem, 43, 4, 1)) for _ in range(2))
    assert len(first) == 43
    assert [row.F for row in first] == [row.F for row in again]


def task(**changes: object) -> dict[str, object]:
    return {"problem": "zdt1", "method": "random", "batch": 1, "seed": 1, "n_evals": 6} | changes


def test_a_run_that_is_recorded_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.jsonl"
    kept = task(seed=2, status="ok", n=6, cpu_s=0.5, wall_s=1.0, shares=[0.123] * 6)
    # A record, and one that was cut off while it was written.
    results.write_text(json.dumps(kept) + "\n" + json.dumps(task(seed=1))[:40])
    options = ["--problems", "zdt1", "--methods", "random", "--n-evals", "6", "--results", str(results)]
    runner.main([*options, "--seeds", "1", "2", "--cache", str(tmp_path)])
    assert "1/1" in capsys.readouterr().out
    found = {record["seed"]: record for record in records.read(results)}
    assert found[2] == kept
    assert (found[1]["status"], found[1]["n"], len(found[1]["shares"])) == ("ok", 6, 6)
    assert results.with_suffix(".png").exists()


@pytest.mark.slow
def test_a_run_over_its_limit_keeps_what_it_had(tmp_path: Path) -> None:
    record = runner.run_one(task(n_evals=10**7), sys.executable, tmp_path, 2)
    assert record["status"] == "stopped"
    assert 0 < record["n"] < 10**7
    assert f"stopped at {record['n']} evaluations" in record["reason"]


def test_missing_runs_are_those_with_too_few_evaluations() -> None:
    done = [task(n_evals=6), task(seed=2, n_evals=3)]
    assert records.missing([task(), task(seed=2), task(batch=4)], done) == [task(seed=2), task(batch=4)]


def test_near_medians_share_their_ranks() -> None:
    assert report.ranks({"a": 0.9, "b": 0.896, "c": 0.894, "d": 0.5}) == {"a": 1.5, "b": 1.5, "c": 3, "d": 4}


def hand_made() -> list[dict[str, object]]:
    rows = []
    for problem, ends in {"zdt1": (0.99, 0.5), "osy": (0.6, 0.8), "bnh": (0.7,)}.items():
        for method, end in zip(("evo-moo", "random"), ends, strict=False):
            for seed in (1, 2, 3):
                shares = [0.0] * 9 + [end] * (41 + seed)
                outcome = {"status": "ok", "n": 50 + seed, "cpu_s": 5.0, "wall_s": 6.0, "shares": shares}
                rows.append(task(problem=problem, method=method, seed=seed, n_evals=50) | outcome)
    rows[-1] |= {"status": "stopped", "reason": "stopped at 12 evaluations", "shares": [0.0] * 9 + [0.7] * 3, "n": 12}
    return rows


def test_report_has_medians_evaluations_ranks_and_failures() -> None:
    said = report.text(hand_made())
    zdt1 = said[said.index("zdt1, batch 1") : said.index("osy, batch 1")].splitlines()
    # Seeds, share with quartiles, evaluations to 90, 95 and 99 %, and seconds over 51 + 52 + 53 evaluations.
    assert next(line for line in zdt1 if "evo-moo" in line).split() == [
        *("evo-moo", "3", "0.990", "[0.990", "0.990]", "10", "10", "10", f"{15 / 156:.4f}")
    ]
    assert next(line for line in zdt1 if "random" in line).split()[5:8] == ["-", "-", "-"]
    assert "! seed 3 stopped: stopped at 12 evaluations" in said
    averages = said[said.index("average rank over 2 problems") :]
    assert "left out, since some method has no record: bnh" in averages
    assert [line.split()[1] for line in averages.splitlines() if line.startswith(("  evo", "  random"))] == ["1.50"] * 2


def test_noisy_front_is_what_one_would_choose() -> None:
    measure = Scale(np.zeros(2), np.ones(2), 1.21)
    F = [[0.5, 0.5], [0.2, 0.2], [0.5, 0.5]]
    lucky, then_known = [[0.1, 0.1], [0.3, 0.3]], [[0.9, 0.9]]
    np.testing.assert_allclose(measure.shares_of_chosen(F, lucky + then_known), np.array([0.36, 0.36, 0.81]) / 1.21)


def test_methods_see_the_same_noise_and_not_the_truth(tmp_path: Path) -> None:
    problem = built("zdt1-noisy", tmp_path)
    random, sobol = ([*run(METHODS[name], problem, 60, 10, 1)] for name in ("random", "sobol"))
    errors = [np.array([e.measured for e in rows]) - np.array([e.F for e in rows]) for rows in (random, sobol)]
    np.testing.assert_allclose(errors[0], errors[1])
    assert 0.07 < errors[0].std() < 0.13


def test_intervals_of_ranks_are_as_wide_as_seeds_differ() -> None:
    same, other = ([{"n_evals": 50, "shares": [end]} for end in ends] for ends in ((0.5,) * 3, (0.1, 0.6, 0.9)))
    intervals = report.rank_intervals({"zdt1": {"evo-moo": same, "random": other}}, 50)
    assert intervals == {"evo-moo": (1.0, 2.0), "random": (1.0, 2.0)}
    assert report.rank_intervals({"zdt1": {"evo-moo": same, "random": same}}, 50)["evo-moo"] == (1.5, 1.5)
