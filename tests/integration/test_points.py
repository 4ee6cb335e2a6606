"""Trainings that offer several points: the same search however it is run, and every point is a candidate."""

import json
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import evo_moo
from evo_moo import Optimizer, Point
from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.pareto import pareto_rows
from evo_moo.storage.checkpoint import from_json, to_json
from tests.integration.running import front_of, ledger_of
from tests.integration.served import Served

SERVED, LADDER = (f"{Path(__file__).with_name('served.py')}:{name}" for name in ("Served", "ServedLadder"))


def search(folder: Path | None, use: str = SERVED, **options: object) -> evo_moo.Result:
    return evo_moo.search(
        use, **{"pop_size": 8, "termination": ("n_evals", 24), "workers": 1, **options}, run_dir=folder
    )


def test_front_is_that_of_all_points(tmp_path: Path) -> None:
    result = search(tmp_path / "r", surrogate="none")
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as db:
        rows = db.execute("SELECT evaluation, point, metrics, violation, fault FROM points").fetchall()
        trained = db.execute("SELECT n_points, metrics, violation FROM evaluations WHERE status = 'ok'").fetchall()
    assert {(n, metrics) for n, metrics, _ in trained} == {(6, "{}")}
    made = [(f"{e}.{p}", json.loads(m), v) for e, p, m, v, fault in rows if not fault]
    assert len(made) < len(rows) == 6 * len(trained)
    F = np.array([[m["error"], m["size"]] for _, m, _ in made])
    by_hand = {made[i][0] for i in pareto_rows(F, np.array([v for *_, v in made]))}
    assert {e.id for e in result.front} == by_hand
    assert all(e.configuration.keys() == {"width", "rate", "precision", "sparsity"} for e in result.front)
    assert sum(e.cost for e in result.evaluations) == 24


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "options"),
    [
        (SERVED, {"surrogate": "auto"}),
        (SERVED, {"algorithm": "nsga3", "surrogate": "none"}),
        (LADDER, {"refinement": {"replicates": 2}, "surrogate": "none", "termination": ("n_evals", 8)}),
    ],
)
def test_any_number_of_workers_gives_the_same_points(tmp_path: Path, use: str, options: dict[str, object]) -> None:
    for workers in (1, 3):
        search(tmp_path / str(workers), use, workers=workers, **options)
    assert ledger_of(tmp_path / "1") == ledger_of(tmp_path / "3")
    assert front_of(tmp_path / "1") == front_of(tmp_path / "3") != []


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_resumed_search_with_models_ends_like_its_twin(tmp_path: Path, mode: str) -> None:
    class Stop(evo_moo.Callback):
        def on_evaluation(self, run, evaluation):
            if evaluation.id == 15 and not run.is_replay:
                raise evo_moo.RunStoppedError("enough for now")

    search(tmp_path / "twin", mode=mode, surrogate="auto")
    with pytest.raises(evo_moo.RunStoppedError):
        search(tmp_path / "r", mode=mode, surrogate="auto", callbacks=[Stop()])
    evo_moo.resume(tmp_path / "r")
    assert ledger_of(tmp_path / "r") == ledger_of(tmp_path / "twin")


@pytest.mark.parametrize("kind", [Optimizer, SurrogateOptimizer])
def test_own_loop_is_told_points_and_goes_on_from_a_state(kind: type[Optimizer]) -> None:
    problem = Served()
    optimizers = [kind(problem, pop_size=6, seed=2) for _ in range(2)]
    for candidate in optimizers[0].ask(6):
        offered = None if candidate.configuration["rate"] > 0.95 else problem.evaluate(candidate.configuration, seed=1)
        optimizers[0].tell(candidate, offered)
    assert all(isinstance(key, str) for key in optimizers[0].population_ids())
    optimizers[1].load(from_json(to_json(optimizers[0].dump())))
    asked = [[candidate.configuration for candidate in optimizer.ask()] for optimizer in optimizers]
    assert asked[0] == asked[1] and len(asked[0]) > 1


def test_one_point_of_each_training_is_the_search_without_points() -> None:
    """The law: a training that offers one point, with a choice that decides nothing, is a plain one."""

    class OnePoint(Served):
        def evaluate(self, config, *, seed):
            return [Point({"precision": "int8", "sparsity": 0.5}, {"error": config["width"], "size": -config["rate"]})]

    class Plain(Served):
        post_training = {}

        def evaluate(self, config, *, seed):
            return {"error": config["width"], "size": -config["rate"]}

    asked = []
    for problem in (OnePoint(), Plain()):
        result = search(None, problem, surrogate="none", algorithm="nsga2")
        asked.append([{name: e.configuration[name] for name in ("width", "rate")} for e in result.evaluations])
    assert asked[0] == asked[1]


@pytest.mark.slow
def test_models_find_more_with_points_than_random_trainings() -> None:
    volumes = {}
    for how in ({"surrogate": "auto"}, {"algorithm": "random", "surrogate": "none"}):
        results = [search(None, seed=seed, **how) for seed in (1, 2, 3)]
        volumes[how["surrogate"]] = np.mean([r.hypervolume({"error": 0.9, "size": 1.2}) for r in results])
    assert volumes["auto"] > volumes["none"]


def test_outcome_with_choices_must_be_told_as_points() -> None:
    optimizer, plain = (Optimizer(problem, pop_size=4) for problem in (Served(), evo_moo.load_problem("pymoo:zdt1")))
    (candidate,), (other,) = optimizer.ask(1), plain.ask(1)
    wrong = Point({"precision": "int4", "sparsity": 0.0}, {"error": 0.1, "size": 0.1})
    for told, fault in (
        ({"error": 0.1, "size": 0.1}, "must be a list of points"),
        ([wrong], "point 1 (precision=int4"),
    ):
        with pytest.raises(evo_moo.MetricError, match=re.escape(fault)):
            optimizer.tell(candidate, told)
    with pytest.raises(evo_moo.MetricError, match="must be a dict of metrics"):
        plain.tell(other, [Point({}, {"f1": 0.1, "f2": 0.1})])
    optimizer.tell(candidate, [wrong._replace(choices={"precision": "int8", "sparsity": 0.0})])
