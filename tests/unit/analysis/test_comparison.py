import json
import shutil

import numpy as np
import pytest

import evo_moo
from evo_moo.analysis.comparison import compare_configurations, compare_runs, groups_in
from evo_moo.analysis.result import Result
from evo_moo.cli.compare import compare
from evo_moo.cli.comparison_tables import print_comparison
from evo_moo.errors import EvoMooError, MetricError, UsageError
from evo_moo.pareto import Box
from evo_moo.run.confirmation import confirm


class Valley(evo_moo.SearchProblem):
    variables = {"x": evo_moo.Real(0, 1), "y": evo_moo.Real(0, 1)}
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config, *, seed):
        noise = np.random.default_rng([seed, int(1e6 * config["x"])]).normal(0, 0.02, 2)
        x, y = config["x"], config["y"]
        return {"a": x + y + noise[0], "b": 1 - x + y + noise[1]}


class Twice(Valley):
    objectives = {"a": "min", "b": "max"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2, 3):
        for name, algorithm, n in (("ga", "nsga2", 24), ("rs", "random", 16)):
            evo_moo.search(
                Valley(), algorithm, 8, ("n_evals", n), seed, 1, "none", folder / "valley" / f"{name},seed={seed}"
            )
    evo_moo.search(Twice(), "random", 8, ("n_evals", 8), 1, 1, run_dir=folder / "other")
    return folder


def test_groups_are_compared_in_pairs_after_equal_budgets(runs, capsys):
    groups = groups_in(runs / "valley")
    assert {name: len(paths) for name, paths in groups.items()} == {"ga": 3, "rs": 3}
    report = compare_runs(groups)
    fronts = [
        np.array([[e.metrics["a"], e.metrics["b"]] for e in Result.read(path).evaluations[:16]])
        for path in [*groups["ga"], *groups["rs"]]
    ]
    box = Box.joint(Box.around(F[:8]) for F in fronts)  # eight are the first generation
    expected = [box.share(F) for F in fronts]
    found = [v for name in ("ga", "rs") for v in report.samples["hypervolume"][name].values()]
    assert found == pytest.approx(expected)
    (test,) = report.comparisons
    assert test.paired and test.n == 3 and list(report.samples["hypervolume"]["ga"]) == [1, 2, 3]
    assert test.difference == pytest.approx(np.mean(expected[:3]) - np.mean(expected[3:]))
    assert test.low <= test.difference <= test.high
    text = " ".join(report.notes)
    assert "budgets differ (ga spent 24; rs spent 16): compared after the first 16 evaluations" in text
    assert "the intervals are Student's: of 3 runs they hold the truth 95 times in 100 where" in text
    assert "3 pairs cannot show an effect under 3.3 standard deviations" in text
    print_comparison(json.loads(json.dumps(report.to_json(), allow_nan=False)))
    assert "hypervolume" in capsys.readouterr().out
    assert compare_runs(groups, 8).samples != report.samples


def test_single_runs_and_wrong_groups(runs):
    ga, rs = (sorted((runs / "valley").glob(f"{name},*")) for name in ("ga", "rs"))
    report = compare_runs({"one": ga[:1], "other": rs[:1], "many": ga[1:]})
    assert report.comparisons == [] and "one, other is not tested" in " ".join(report.notes)
    assert not compare_runs({"a": [ga[0], ga[0]], "b": rs[:2]}).comparisons[0].paired
    with pytest.raises(MetricError, match=r"must search for the same goals, but .* max b; compare configurations"):
        compare_runs({"a": ga, "b": [runs / "other"]})
    with pytest.raises(UsageError, match="`--at` must be above 0 and at most 16, as rs,seed=1 has no more, but is 20"):
        compare_runs({"a": ga, "b": rs}, 20)
    with pytest.raises(UsageError, match="at least two different things, but is of 1"):
        compare_runs({"a": ga})


def test_configurations_are_compared_by_their_confirmations(runs, tmp_path):
    for name in ("ga,seed=1", "rs,seed=1"):
        shutil.copytree(runs / "valley" / name, tmp_path / name)
    one, other = ((tmp_path / name, 1) for name in ("ga,seed=1", "rs,seed=1"))
    with pytest.raises(
        MetricError, match=r"trained at least twice, but A was not; `evo-moo confirm .* --id 1` does so"
    ):
        compare_configurations({"A": one, "B": other})
    values = [confirm(path, Valley(), seeds=4, ids=[1], workers=1).values for path, _ in (one, other)]
    report = compare_configurations({"A": one, "B": other})
    assert [test.metric for test in report.comparisons] == ["a", "b"]
    for test in report.comparisons:
        # The same seeds in all confirmations, so those of different runs are pairs too.
        assert test.paired and test.n == 4
        assert test.difference == pytest.approx(float((values[0][test.metric] - values[1][test.metric]).mean()))
        assert test.p_holm >= test.p
    with pytest.raises(MetricError, match="must all have replicates of speed, but A has a, b; B has a, b"):
        compare_configurations({"A": one, "B": other}, ["speed"])
    with pytest.raises(UsageError, match=r"99 of .* is none"):
        compare_configurations({"A": one, "B": (other[0], 99)})


def test_values_by_seed_and_replicates_need_no_confirmation(tmp_path):
    class Study(evo_moo.SearchProblem):
        variables = {"x": evo_moo.Integer(1, 4)}
        objectives = {"acc": "max"}

        def evaluate(self, config):
            return {"acc": config["x"], "acc_seed_1": config["x"], "acc_seed_2": 2 * config["x"] + 1}

    class Net(evo_moo.SearchProblem):
        variables = {"x": evo_moo.Real(0, 1)}
        objectives = {"acc": "max"}
        fidelity = evo_moo.Fidelity("epochs", 1, 9)

        def evaluate(self, config, *, fidelity, seed):
            return {"acc": config["x"] + np.random.default_rng(seed).normal(0, 0.1)}

    evo_moo.search(Study(), "grid", termination=("n_evals", 4), workers=1, run_dir=tmp_path / "s")
    (test,) = compare_configurations({"A": (tmp_path / "s", 1), "B": (tmp_path / "s", 2)}).comparisons
    assert test.paired and test.n == 2
    refinement = {"rungs": [1, 9], "replicates": 3}
    evo_moo.search(
        Net(), termination=("n_evals", 14), pop_size=4, workers=1, surrogate="none", refinement=refinement,
        run_dir=tmp_path / "n",
    )  # fmt: skip
    result = Result.read(tmp_path / "n")
    ids = {e.continues for e in result.evaluations if e.replicate}
    (test,) = compare_configurations({key: (tmp_path / "n", key) for key in sorted(ids)[:2]}).comparisons
    assert not test.paired and test.n == 3


def test_arguments_name_runs_folders_patterns_and_configurations(runs, tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").symlink_to(runs)
    monkeypatch.chdir(tmp_path)
    compare(["valley"])
    one = capsys.readouterr().out
    assert "valley/ga" in one and "valley/rs" in one
    compare(["valley/ga,*", "runs/valley/rs,seed=?"], as_json=True)
    two = json.loads(capsys.readouterr().out)
    assert [its["n"] for its in two["samples"]["hypervolume"].values()] == [3, 3]
    assert all(its["low"] <= its["mean"] <= its["high"] for its in two["samples"]["hypervolume"].values())
    for what, words in (
        (["other", "other:1"], "some of both"),
        (["other"], "at least two different things"),
        (["other", "nothing"], "`nothing` must name runs, or RUN:ID, but names none"),
        (["other", "valley"], "must search for the same goals"),
    ):
        with pytest.raises(EvoMooError, match=words):
            compare(what)
    with pytest.raises(UsageError, match="`--metric` must go with configurations"):
        compare(["valley"], ["a"])
    with pytest.raises(UsageError, match="`--at` must go with runs"):
        compare(["other:1", "other:2"], at=8)
