import json

import numpy as np
import pytest
from scipy import stats

import evo_moo
from evo_moo.analysis.confirmation_ledger import FOLDER, confirmation_seed, read_confirmation
from evo_moo.analysis.confirmed_front import Confirmation
from evo_moo.analysis.result import Result
from evo_moo.cli.comparison_tables import print_confirmation
from evo_moo.errors import ProblemError, RunFolderError, SearchFailedError, UsageError
from evo_moo.problem.goals import Goals
from evo_moo.report.analysis_figures import confirmation_figure
from evo_moo.run.confirmation import confirm
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.reading import reading
from tests.integration.running import ledger_of


class Noisy(evo_moo.SearchProblem):
    """Test data are harder by 0.5; bad seeds fail, where asked for."""

    variables = {"x": evo_moo.Integer(1, 12)}
    objectives = {"error": "min", "size": "min"}
    metrics = {
        "error": evo_moo.Metric(noisy=True),
        "size": evo_moo.Metric(cheap=True),
        "test_error": evo_moo.Metric(held_out=True, test_of="error"),
    }
    bad = frozenset()

    def profile(self, config):
        return {"size": config["x"]}

    def evaluate(self, config, *, seed):
        if seed in self.bad:
            raise ArithmeticError("bad luck")
        noise = np.random.default_rng([seed, config["x"]]).normal(0, 0.3, 2)
        return {"error": 6 / config["x"] + noise[0], "test_error": 6 / config["x"] + 0.5 + noise[1]}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    evo_moo.search(Noisy(), "grid", termination=("n_evals", 12), workers=1, run_dir=folder / "r")
    return folder / "r"


@pytest.fixture
def run_dir(searched, tmp_path):
    import shutil

    shutil.copytree(searched, tmp_path / "r", ignore=shutil.ignore_patterns(FOLDER))
    return tmp_path / "r"


def test_confirmation_trains_the_front_anew_with_new_seeds(run_dir, capsys):
    found = confirm(run_dir, Noisy(), seeds=4, workers=1)
    front = Result.read(run_dir).front
    assert [m.id for m in found.members] == [e.id for e in front]
    assert not set(found.seeds) & {e.seed for e in Result.read(run_dir).evaluations}
    for i, member in enumerate(front):
        again = [Noisy().evaluate(member.configuration, seed=seed) for seed in found.seeds]
        assert found.values["error"][i].tolist() == [metrics["test_error"] for metrics in again]
        assert found.again["error"][i].tolist() == [metrics["error"] for metrics in again]
    its = found.summary("error")
    assert its["mean"] == pytest.approx(found.values["error"].mean(axis=1))
    low, high = stats.ttest_1samp(found.values["error"][0], 0).confidence_interval()
    assert (its["low"][0], its["high"][0]) == pytest.approx((low, high))
    shift = found.shift("error")
    assert shift["total"]["mean"] == pytest.approx(shift["seed"]["mean"] + shift["split"]["mean"])
    assert shift["split"]["mean"] == pytest.approx(0.5, abs=0.3) and "split" not in found.shift("size")
    assert any("on test data: error by test_error" in note for note in found.notes)
    assert "test_error" not in found.names and not any("no test split" in note for note in found.notes)
    # The smallest is never dominated.
    assert found.p_nondominated[int(np.argmin(found.values["size"].mean(axis=1)))] == 1
    assert all(0 < p <= 1 for p in found.p_nondominated)
    report = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert confirmation_figure(report).axes
    print_confirmation(report)
    assert "note: on test data" in capsys.readouterr().out


def test_more_seeds_and_members_are_added_to_what_is_there(run_dir):
    first = confirm(run_dir, Noisy(), seeds=2, workers=1)
    before = ledger_of(run_dir / FOLDER)
    others = [e.id for e in Result.read(run_dir).evaluations if e.id not in {m.id for m in first.members}][:2]
    ids = [first.members[0].id, *others]
    more = confirm(run_dir, Noisy(), seeds=3, ids=ids, workers=1)
    assert [m.id for m in more.members] == ids and more.values["error"].shape == (len(ids), 3)
    assert more.values["error"][0, :2].tolist() == first.values["error"][0].tolist()
    assert ledger_of(run_dir / FOLDER)[: len(before)] == before
    # Without new seeds or members nothing is trained; fewer seeds look at the first of them.
    n = len(ledger_of(run_dir / FOLDER))
    assert confirm(run_dir, Noisy(), seeds=2, workers=1).to_json() == first.to_json()
    assert len(ledger_of(run_dir / FOLDER)) == n
    assert len(confirm(run_dir, Noisy(), workers=1).seeds) == 3


def test_member_that_breaks_a_limit_is_not_on_the_front(tmp_path):
    class Limited(evo_moo.SearchProblem):
        variables = {"x": evo_moo.Integer(1, 3)}
        objectives = {"error": "min"}
        constraints = {"memory": {"at_most": 5}}
        metrics = {"error": evo_moo.Metric(noisy=True)}

        def evaluate(self, config, *, seed):
            is_lucky = seed not in {confirmation_seed(i) for i in range(1, 5)}
            noise = np.random.default_rng([seed, config["x"]]).normal(0, 1e-3)
            return {
                "error": config["x"] + noise,
                "memory": 9.0 if config["x"] == 1 and not is_lucky else 3 / config["x"],
            }

    evo_moo.search(Limited(), "grid", termination=("n_evals", 3), workers=1, run_dir=tmp_path / "r")
    found = confirm(tmp_path / "r", Limited(), seeds=4, ids=[1, 2, 3], workers=1)
    on_front = {m.configuration["x"]: p for m, p in zip(found.members, found.p_nondominated, strict=True)}
    assert on_front == {1: 0, 2: 1, 3: 0}


def test_failures_are_left_out_and_told(run_dir):
    problem = Noisy()
    problem.bad = {confirmation_seed(2)}
    found = confirm(run_dir, problem, seeds=3, workers=1)
    assert found.summary("error")["n"].tolist() == [2] * len(found.members)
    assert None not in found.p_nondominated
    left = (found.values["error"] - found.searched("error")[:, None])[:, [0, 2]]
    assert found.shift("error")["total"]["mean"] == pytest.approx(left.mean())
    assert any("7 failed: ArithmeticError: bad luck (test_confirmation.py" in n for n in found.notes)
    assert json.dumps(found.to_json(), allow_nan=False)


def test_one_seed_gives_means_without_intervals(run_dir):
    found = confirm(run_dir, Noisy(), seeds=1, workers=1)
    assert np.isnan(found.summary("error")["low"]).all() and set(found.p_nondominated) == {None}
    assert found.shift("error")["total"].keys() == {"mean"}
    assert any("1 seed shows no spread" in note for note in found.notes)
    assert json.dumps(found.to_json(), allow_nan=False)


def test_confirmation_where_all_fail_is_an_error_with_a_reason(run_dir):
    problem = Noisy()
    problem.bad = {confirmation_seed(1)}
    with pytest.raises(SearchFailedError, match="bad luck"):
        confirm(run_dir, problem, seeds=1, workers=1)


def test_notes_name_constant_metrics_and_a_missing_test_split(tmp_path):
    class Still(evo_moo.SearchProblem):
        variables = {"x": evo_moo.Integer(1, 6)}
        objectives = {"error": "min"}

        def evaluate(self, config):
            return {"error": 1 / config["x"]}

    evo_moo.search(Still(), "grid", termination=("n_evals", 6), workers=1, run_dir=tmp_path / "r")
    found = confirm(tmp_path / "r", Still(), seeds=3, workers=1)
    text = " ".join(found.notes)
    assert "no test split for error: only the luck of the seed" in text
    assert "did not vary at all" in text and "neither `seed` nor `replicate`" in text
    assert found.p_nondominated == [1.0] and found.shift("error")["total"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


PROBLEM = """
import random, evo_moo
class Mine(evo_moo.SearchProblem):
    variables = {"x": evo_moo.Integer(1, 6)}
    objectives = {"error": "min"}
    def evaluate(self, config, *, seed):
        return {"error": 1 / config["x"] + random.Random(seed).gauss(0, 0.01)}
"""


def test_a_changed_problem_is_noted_and_never_mixed(tmp_path):
    file, run_dir = tmp_path / "mine.py", tmp_path / "r"
    file.write_text(PROBLEM)
    evo_moo.search(f"{file}:Mine", "grid", termination=("n_evals", 6), workers=1, run_dir=run_dir)
    assert not any("changed" in n for n in confirm(run_dir, seeds=2, workers=1).notes)
    file.write_text(PROBLEM.replace("0.01", "0.02"))
    with pytest.raises(UsageError, match=r"must be of one version of its problem, .* `mine\.py` has changed"):
        confirm(run_dir, seeds=3, workers=1)
    assert len(confirm(run_dir, workers=1).seeds) == 2  # what is there is told all the same
    (run_dir / FOLDER).rename(tmp_path / "old")
    assert any("has changed since the search" in n for n in confirm(run_dir, seeds=2, workers=1).notes)


def test_a_changed_object_is_noted_and_never_mixed(tmp_path):
    class Scaled(evo_moo.SearchProblem):
        variables = {"x": evo_moo.Integer(1, 6)}
        objectives = {"error": "min"}

        def __init__(self, scale=1):
            self.scale = scale

        def evaluate(self, config):
            return {"error": self.scale / config["x"]}

    run_dir = tmp_path / "r"
    evo_moo.search(Scaled(), "grid", termination=("n_evals", 6), workers=1, run_dir=run_dir)
    notes = confirm(run_dir, Scaled(2), seeds=1, workers=1).notes
    assert any("has changed since the search (`" in n and "Scaled.scale`: 1 there, 2 here)" in n for n in notes)
    with pytest.raises(UsageError, match=r"must be of one version of its problem, .*scale`: 2 there, 1 here"):
        confirm(run_dir, Scaled(), seeds=2, workers=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ids": [1, 99]}, "99 of .* is none"),
        ({"seeds": 0}, "`seeds` must be at least 1, but is 0"),
        ({"workers": 0}, "`workers` must be at least 1"),
        ({"problem": None}, "call evo_moo.confirm with it, as `problem`"),
    ],
)
def test_wrong_arguments_are_refused(run_dir, arguments, words):
    with pytest.raises(UsageError, match=words):
        confirm(run_dir, **{"problem": Noisy(), "workers": 1, **arguments})
    assert not (run_dir / FOLDER).exists()


def test_runs_that_cannot_be_confirmed_are_refused(tmp_path, run_dir):
    evo_moo.search("pymoo:bnh", termination=("n_evals", 20), pop_size=10, workers=1, run_dir=tmp_path / "plain")
    with pytest.raises(UsageError, match="gives the same each time; there is nothing to confirm"):
        confirm(tmp_path / "plain")
    hopeless = Noisy()
    hopeless.evaluate = lambda config: 1 / 0
    with pytest.raises(SearchFailedError):
        evo_moo.search(hopeless, "grid", termination=("n_evals", 12), workers=1, run_dir=tmp_path / "none")
    with pytest.raises(UsageError, match="must have a front to be confirmed, but no evaluation has ended well"):
        confirm(tmp_path / "none", Noisy())
    with pytest.raises(RunFolderError, match="must have been confirmed, but was not"):
        read_confirmation(run_dir)
    confirm(run_dir, Noisy(), seeds=1, ids=[1], workers=1)
    with pytest.raises(UsageError, match="is itself a confirmation"):
        confirm(run_dir / FOLDER, Noisy())
    with pytest.raises(RunFolderError, match="`evo-moo confirm` goes on with it"):
        evo_moo.resume(run_dir / FOLDER)


def test_a_test_metric_must_be_held_out_and_of_another():
    class Wrong(Noisy):
        metrics = {"test_error": evo_moo.Metric(test_of="error")}

    with pytest.raises(ProblemError, match="must be held out and the test of another metric"):
        Wrong().check()


def test_shift_of_the_luckiest_covers_the_truth_as_stated():
    """The winner's curse: of 30 equal configurations the search takes the luckiest three."""
    rng, n, truth = np.random.default_rng(17), 600, 1.0
    hits, cursed = 0, 0
    goals = Goals.declared({"error": "min"}, {})
    for _ in range(n):
        luckiest = np.sort(rng.normal(truth, 0.2, 30))[:3]
        members = [Evaluation(i, 1, "{}", 0, "ok", {"error": e}, *[None] * 17) for i, e in enumerate(luckiest.tolist())]
        values = {"error": rng.normal(truth, 0.2, (3, 5)) + rng.normal(0, 0.1, 5)}
        found = Confirmation("r", goals, {}, members, list(range(5)), values, {}, [], [])
        shift = found.shift("error")["total"]
        hits += shift["low"] <= truth - luckiest.mean() <= shift["high"]
        cursed += shift["low"] > 0
    low, high = stats.binom.interval(1 - 1e-6, n, 0.95)
    assert low <= hits <= high and cursed > 0.6 * n


def test_replicates_have_their_seeds_in_the_ledger(run_dir):
    confirm(run_dir, Noisy(), seeds=2, ids=[3, 5], workers=1)
    with reading(run_dir / FOLDER) as ledger:
        rows = [(e.replicate, e.continues, e.seed) for e in ledger.evaluations()]
    one, two = confirmation_seed(1), confirmation_seed(2)
    assert rows == [(1, None, one), (1, None, one), (2, 1, two), (2, 2, two)]
    assert (run_dir / FOLDER / "front.csv").is_file()


class OnDevices(Noisy):
    """Small is fast on the phone; on the server nothing but the error differs."""

    contexts = {"device": ["server", "phone"]}
    objectives = {"error": "min", "ms": "min"}
    metrics = {"error": evo_moo.Metric(noisy=True), "ms": evo_moo.Metric(by_context=True, cheap=True)}

    def profile(self, config):
        return {"ms": {"server": 1.0, "phone": config["x"]}}

    def evaluate(self, config, *, seed):
        return {"error": super().evaluate(config, seed=seed)["error"]}


def test_confirmation_has_the_front_of_each_context(tmp_path, capsys):
    evo_moo.search(OnDevices(), "grid", termination=("n_evals", 12), workers=1, run_dir=tmp_path / "r")
    found, result = confirm(tmp_path / "r", OnDevices(), seeds=3, workers=1), Result.read(tmp_path / "r")
    assert [e.id for e in found.members] == [e.id for e in result.front]
    report = found.to_json()
    assert report["contexts"] == {"server": ["error", "ms@server"], "phone": ["error", "ms@phone"]}
    for member in report["members"]:
        assert tuple(member["contexts"]) == result.serves[member["id"]]
        assert member["p_nondominated"] == max(member["p_by_context"].values())
    smallest = next(member for member in report["members"] if member["configuration"]["x"] == 1)
    assert smallest["p_by_context"]["phone"] == 1 and smallest["p_by_context"]["server"] < 0.1
    print_confirmation(report)
    text = capsys.readouterr().out
    assert f"In phone: {len(result.within('phone').front)}" in text and "In server: 1" in text
    assert len(confirmation_figure(report).axes) == 2
