import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("fairlearn")

from evo_moo.problems.fair_tabular import MOST_TRIED, threshold_grid
from sklearn.ensemble import HistGradientBoostingClassifier

from evo_moo.errors import EvoMooError, ProblemError
from evo_moo.evaluation import slots
from evo_moo.plugins import load_problem
from evo_moo.toolkit.fairness import METRICS, group_metrics, reweighting, threshold_metrics
from evo_moo.toolkit.robustness import Robustness

REFERENCE = f"{Path(__file__).parents[3] / 'problems' / 'fair_tabular.py'}:FairTabular"
DATA = os.environ.get("EVO_MOO_DATA")
TREES = {"model": "gradient_boosting", "n_trees": 10, "n_leaves": 3, "shrinkage": 0.2, "reweighting": 0.5}
MLP = {"model": "mlp", "n_layers": 1, "width": 4, "epochs": 5, "lr": 0.01, "alpha": 1e-3, "reweighting": 1.0}


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("EVO_MOO_DATA", raising=False)


@pytest.mark.slow
def test_options_add_the_metrics_robustness_and_latency():
    plain = load_problem(REFERENCE)
    problem = load_problem(REFERENCE, {"robustness": ["noise", "dropout"], "latency_batch": 50})
    assert plain.profile(TREES) == {} and "latency_ms" not in plain.known_metrics
    for model in (TREES, MLP):
        profile, points = problem.profile(model), problem.evaluate(model, seed=1)
        assert profile["latency_ms"] > 0 and points == problem.evaluate(model, seed=1)
        for point, without in zip(points, plain.evaluate(model, seed=1), strict=True):
            metrics = point.metrics
            assert sorted([*profile, *metrics]) == sorted(problem.known_metrics)
            assert metrics["accuracy_worst"] == min(metrics["accuracy_noise"], metrics["accuracy_dropout"])
            assert point.choices == without.choices and without.metrics.items() <= metrics.items()
        assert max(point.metrics["accuracy_worst"] for point in points) > 0.5


def test_timed_training_waits_for_other_measurements(monkeypatch):
    held = []
    fit = HistGradientBoostingClassifier.fit

    def watched(*args, **kwargs):
        held.append(slots.holds_slot())
        return fit(*args, **kwargs)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", watched)
    load_problem(REFERENCE, {"latency_batch": 50}).profile(TREES)
    assert held == [True] and not slots.holds_slot()


def test_the_disturbances_of_rows_are_those_of_networks():
    X = np.random.default_rng(0).normal(size=(400, 3))
    y = (X[:, 0] > 0).astype(int)
    found = Robustness(("noise", "dropout"), noise=0.5, dropout=0.25, bounds=None).of_decisions(
        lambda rows: (rows[:, 0] > 0).astype(int), X, y, seed=1
    )
    # A missing value reads 0, which is not above 0: a quarter of the ones are lost. The angle of noise and value
    # decides the sign: P(wrong) = arctan(0.5) / pi.
    assert found["accuracy_dropout"] == pytest.approx(1 - 0.25 * y.mean(), abs=0.05)
    assert found["accuracy_noise"] == pytest.approx(1 - np.arctan(0.5) / np.pi, abs=0.05)
    with pytest.raises(ValueError, match="`fgsm` must attack a network, whose gradient it follows"):
        Robustness(("fgsm",), bounds=None).of_decisions(lambda rows: rows[:, 0], X, y, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"robustness": ["fgsm"]}, r"`robustness` must be a list of some of noise, dropout, but is \['fgsm'\]"),
        ({"robustness": "noise"}, r"`robustness` must be Sequence\[str\], but is 'noise'"),
        ({"latency_batch": 0}, "`latency_batch` must be at least 1, but is 0"),
    ],
)
def test_wrong_options_of_robustness_and_latency_are_refused(options, message):
    with pytest.raises(EvoMooError, match=message):
        load_problem(REFERENCE, options)


@st.composite
def decisions(draw):
    """Labels, decisions and groups in which every group has both labels."""
    n_groups = draw(st.integers(2, 4))
    group = np.array([g for g in range(n_groups) for _ in range(2)] + draw(st.lists(st.integers(0, n_groups - 1))))
    y = np.array([0, 1] * n_groups + draw(st.lists(st.integers(0, 1), min_size=len(group) - 2 * n_groups)))
    y = y[: len(group)]
    decided = np.array(draw(st.lists(st.integers(0, 1), min_size=len(y), max_size=len(y))))
    return y, decided, group


@pytest.mark.slow
@given(decisions())
@settings(max_examples=25)
def test_the_metrics_are_what_a_count_by_hand_gives(drawn):
    y, decided, group = drawn
    found = group_metrics(y, decided + 0.0, decided, group)
    assert list(found) == list(METRICS)
    names = range(group.max() + 1)
    selected = [decided[group == g].mean() for g in names]
    true_rate = [decided[(group == g) & (y == 1)].mean() for g in names]
    false_rate = [decided[(group == g) & (y == 0)].mean() for g in names]
    assert found["accuracy"] == pytest.approx((y == decided).mean())
    recalls = [decided[y == 1].mean(), 1 - decided[y == 0].mean()]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls)) == found["auc"]
    assert found["demographic_parity_difference"] == pytest.approx(np.ptp(selected))
    ratio = min(selected) / max(selected) if max(selected) else 1.0
    assert found["demographic_parity_ratio"] == pytest.approx(ratio)
    assert found["equal_opportunity_difference"] == pytest.approx(np.ptp(true_rate))
    assert found["equalized_odds_difference"] == pytest.approx(max(np.ptp(true_rate), np.ptp(false_rate)))


@pytest.mark.parametrize(
    ("y", "undefined"),
    [
        ([1, 0, 0, 0], {"equal_opportunity_difference", "equalized_odds_difference"}),
        ([1, 0, 1, 1], {"equalized_odds_difference"}),
        ([1, 1, 1, 1], {"equalized_odds_difference", "auc", "balanced_accuracy"}),
        ([0, 0, 0, 0], {"equal_opportunity_difference", "equalized_odds_difference", "auc", "balanced_accuracy"}),
    ],
)
def test_a_gap_over_a_group_without_positives_is_left_out(y, undefined):
    y, decided, group = np.array(y), np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])
    assert set(METRICS) - set(group_metrics(y, decided + 0.0, decided, group)) == undefined


@given(decisions())
@settings(max_examples=25)
def test_full_reweighting_makes_label_and_group_independent(drawn):
    y, _, group = drawn
    weights = reweighting(y, group, 1.0)
    share = [weights[(group == g) & (y == 1)].sum() / weights[group == g].sum() for g in range(group.max() + 1)]
    assert share == pytest.approx([y.mean()] * len(share))
    assert weights.sum() == pytest.approx(len(y))
    assert (reweighting(y, group, 0.0) == 1).all()


@pytest.mark.parametrize("model", [TREES, MLP])
def test_a_training_offers_the_thresholds_of_its_trade_offs(model):
    problem = load_problem(REFERENCE)
    points, same = (problem.evaluate(model, seed=3) for _ in range(2))
    assert points == same and all(set(p.metrics) == set(problem.known_metrics) for p in points)
    problem.point_space.encode([model | dict(p.choices) for p in points])
    assert len({p.metrics["auc"] for p in points}) == 1 and points[0].metrics["auc"] > 0.6
    accurate = max(points, key=lambda p: p.metrics["balanced_accuracy"])
    fair = min(points, key=lambda p: p.metrics["demographic_parity_difference"])
    assert accurate.metrics["balanced_accuracy"] > fair.metrics["balanced_accuracy"]
    assert accurate.metrics["demographic_parity_difference"] > fair.metrics["demographic_parity_difference"] < 0.03


def test_metrics_of_thresholds_are_those_of_their_decisions():
    rng = np.random.default_rng(1)
    y, group, score = rng.integers(2, size=200), rng.integers(3, size=200), rng.random(200).round(2)
    thresholds = np.vstack([rng.random((20, 3)).round(2), np.ones((1, 3)), np.full((1, 3), 2.0)])
    table = threshold_metrics(y, score, group, thresholds)
    for i, row in enumerate(thresholds):
        by_hand = group_metrics(y, score, score >= row[group], group)
        assert {name: values[i] for name, values in table.items()} == pytest.approx(
            {name: by_hand[name] for name in table}
        )


def test_thresholds_of_many_groups_are_drawn():
    assert len(threshold_grid(2)) == 19**2 and len(threshold_grid(6)) <= MOST_TRIED + 19


def test_a_users_table_has_a_threshold_for_each_group(tmp_path):
    path = csv(tmp_path, [f"{'abc'[i % 3]} {i % 3},{i},{'no' if i // 3 % 2 else 'yes'}" for i in range(96)])
    problem = load_problem(REFERENCE, {"data": path, "target": "y", "sensitive": "group"})
    assert list(problem.post_training) == ["threshold_a_0", "threshold_b_1", "threshold_c_2"]
    assert all(0 <= p.metrics["demographic_parity_ratio"] <= 1 for p in problem.evaluate(TREES, seed=1))


def csv(folder, rows):
    (folder / "own.csv").write_text("\n".join(["group,x,y", *rows]))
    return str(folder / "own.csv")


ROWS = [f"{'ab'[i % 2]},{i},{i // 2 % 2}" for i in range(80)]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"data": "adult"},
            "must have its file, but none is named; set `path`, or EVO_MOO_DATA to the folder of adult",
        ),
        ({"data": "nowhere.csv"}, "there is no `nowhere.csv`; name it by an option, or its folder by EVO_MOO_DATA"),
        ({"target": None}, "`target` must name a column of own.csv, but is not given; it has group, x, y"),
        ({"target": "label"}, "`target` must name a column of own.csv, but is 'label'; it has group, x, y"),
        ({"sensitive": None}, "`sensitive` must name a column of own.csv, but is not given; it has group, x, y"),
        ({"target": "x"}, "`target` must have two values, but 'x' has 80"),
        ({"sensitive": "x"}, "`sensitive` must have 2 to 10 groups, but 'x' has 80; name those to keep by `groups`"),
        ({"groups": ["a"]}, "`sensitive` must have 2 to 10 groups, but 'group' has 1"),
        ({"positive": 2}, "`positive` must be a value of 'y', 0 and 1, but is 2"),
        ({"path": "adult.csv"}, "`path` must go with `data` = 'adult', 'compas' or 'credit'"),
    ],
)
def test_wrong_tables_are_refused_with_the_way_out(tmp_path, options, fault):
    given = {"data": csv(tmp_path, ROWS), "target": "y", "sensitive": "group"} | options
    with pytest.raises(ProblemError, match=fault):
        load_problem(REFERENCE, given)


def test_a_group_of_too_few_is_refused_until_it_is_left_out(tmp_path):
    options = {"data": csv(tmp_path, [*ROWS, "c,1,0", "c,2,1"]), "target": "y", "sensitive": "group"}
    with pytest.raises(ProblemError, match="every group must have 8 rows of each class, but c of 'group' has fewer"):
        load_problem(REFERENCE, options)
    assert load_problem(REFERENCE, options | {"groups": ["a", "b"]}).groups == ("a", "b")


def test_compas_file_without_the_filters_columns_is_refused(tmp_path):
    (tmp_path / "own.csv").write_text("race,two_year_recid\nCaucasian,1\n")
    with pytest.raises(
        ProblemError, match=r"own.csv must have days_b_screening_arrest, .*, but lacks 'c_charge_degree'"
    ):
        load_problem(REFERENCE, {"data": "compas", "path": str(tmp_path / "own.csv")})


@pytest.mark.skipif(not DATA, reason="needs EVO_MOO_DATA")
@pytest.mark.parametrize(("name", "n_rows"), [("adult", 48842), ("compas", 5278), ("credit", 30000)])
def test_the_real_tables_are_learnt_from(name, n_rows, monkeypatch):
    monkeypatch.setenv("EVO_MOO_DATA", DATA or "")
    problem = load_problem(REFERENCE, {"data": name})
    assert len(problem.rows) == n_rows and len(problem.post_training) == 2
    points = problem.evaluate(TREES | {"n_trees": 40}, seed=1)
    assert len(points) > 5 and 0.68 < points[0].metrics["auc"] < 0.95
