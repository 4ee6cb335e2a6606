"""Classifiers of tabular data with a sensitive attribute: how accurate can they be, and how fair?

The thresholds are chosen after the training: each training offers the decisions that some trade-off of accuracy and
fairness would choose.
"""

import importlib.util
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import moocore
import numpy as np
import numpy.typing as npt

from evo_moo.errors import ProblemError, to_install
from evo_moo.problem import Configuration, Metric, Point, SearchProblem, TrainedModel
from evo_moo.space import Choice, Integer, Real
from evo_moo.toolkit.checks import require_at_least_one, require_some_of
from evo_moo.toolkit.data_files import digest, find_data
from evo_moo.toolkit.fairness import METRICS, reweighting, threshold_metrics
from evo_moo.toolkit.robustness import Robustness
from evo_moo.toolkit.tabular import (
    EncodedTable,
    Part,
    TableColumns,
    compas_rows,
    read_csv,
    split_and_encode,
    usable_rows,
)

if TYPE_CHECKING:
    import pandas as pd

MLP, BOOSTING = {"model": "mlp"}, {"model": "gradient_boosting"}
Array = npt.NDArray[Any]
ACCURATE = ("accuracy", "balanced_accuracy")
FAIR = ("demographic_parity_difference", "equal_opportunity_difference", "equalized_odds_difference")
MOST_TRIED = 4096
"""So many rows of thresholds are tried after a training at most."""
DISTURBANCES = ("noise", "dropout")
N_TO_TIME = 1000
LATENCY = Metric("ms", "prediction of a batch of rows by one thread", log=True, noisy=True, cheap=True)
TABLES = {
    "demo": TableColumns("high_progression", 1, "sex", (1, 2)),
    "adult": TableColumns("income", ">50K", "gender", ("Female", "Male"), ("fnlwgt", "education")),
    "compas": TableColumns(
        "two_year_recid",
        1,
        "race",
        ("African-American", "Caucasian"),
        # `is_recid` is the label once more, and the scores are the answer of the system under study.
        ("is_recid", "decile_score", "score_text", "days_b_screening_arrest", "age_cat", "c_jail_in", "c_jail_out"),
    ),
    "credit": TableColumns("default.payment.next.month", 1, "SEX", (1, 2), ("ID",)),
}


class FairTabular(SearchProblem):
    """An MLP or gradient boosting, reweighting of the training data, and then a decision threshold for each group.

    The sensitive attribute is no feature: it decides weights and thresholds only. Half of the rows train, a quarter
    is what the search sees, a quarter is for the final report.

    Args:
        data: ``"demo"``, a demonstration and no study of fairness: scikit-learn's 442 diabetes patients, whether their
            disease progressed more than the median, by the recorded sex. ``"adult"``, ``"compas"`` (of the usual 6,172
            rows the 5,278 of two races) or ``"credit"``: ``NAME.csv.gz`` in the folder EVO_MOO_DATA, or at ``path``.
            Or the path of any CSV file, which may be compressed.
        path: File of one of the named tables.
        target: Column to predict, of two values.
        sensitive: Column of the groups.
        positive: The target's value that counts as positive; by default the greater one.
        groups: Values of ``sensitive`` to keep; by default all.
        drop: Columns to leave out.
        robustness: Some of ``"noise"`` and ``"dropout"``, which disturb the validation rows: adds ``accuracy_noise``,
            ``accuracy_dropout`` and ``accuracy_worst``; see ``evo_moo.toolkit.robustness``.
        latency_batch: Number of rows whose prediction is timed: adds ``latency_ms``. By default none is.

    Raises:
        ValueError: ``robustness`` or ``latency_batch`` is wrong.
        ProblemError: The file or a column is missing, or a group is too small; or fairlearn is not installed.
    """

    architecture = ["model", "n_layers", "width", "n_trees", "n_leaves"]
    objectives = {"balanced_accuracy": "max", "demographic_parity_difference": "min"}
    metrics = {
        **{name: Metric(description=f"{words}; validation data", noisy=True) for name, words in METRICS.items()},
        **{
            f"test_{name}": Metric(description=f"{name}, test data", noisy=True, held_out=True, test_of=name)
            for name in METRICS
        },
    }

    def __init__(
        self,
        data: str = "demo",
        path: str | None = None,
        target: str | None = None,
        sensitive: str | None = None,
        positive: Any = None,
        groups: Sequence[Any] | None = None,
        drop: Sequence[str] = (),
        robustness: Sequence[str] = (),
        latency_batch: int | None = None,
    ) -> None:
        if importlib.util.find_spec("fairlearn") is None:
            raise ProblemError(f"`fair_tabular` must have fairlearn, but it is missing; {to_install('fairness')}")
        if path and (data == "demo" or data not in TABLES):
            raise ProblemError(f"`path` must go with `data` = 'adult', 'compas' or 'credit', but `data` is {data!r}")
        known = TABLES.get(data, TableColumns("", None, ""))
        self.source = data
        self.table = TableColumns(
            target or known.target,
            positive if positive is not None or target else known.positive,
            sensitive or known.sensitive,
            tuple(groups or (() if sensitive else known.groups)),
            (*known.drop, *drop),
        )
        self.file = None if data == "demo" else find_data(f"{data}.csv.gz", path if data in TABLES else data)
        if data != "demo" and self.file is None:
            raise ProblemError(
                f"`data` = {data!r} must have its file, but none is named; set `path`, or EVO_MOO_DATA to the folder "
                f"of {data}.csv.gz"
            )
        self.version = digest(self.file) if self.file else data
        found = self.rows[self.table.sensitive].unique().tolist() if self.file else []
        self.groups = self.table.groups or tuple(sorted(found))
        named = [re.sub(r"[^A-Za-z0-9]+", "_", str(group)) for group in self.groups]
        thresholds = named if len(set(named)) == len(named) else range(len(named))
        self.variables = {
            "model": Choice(["mlp", "gradient_boosting"]),
            "n_layers": Integer(1, 2, when=MLP),
            "width": Integer(4, 64, log=True, when=MLP),
            "epochs": Integer(5, 40, when=MLP),
            "lr": Real(1e-3, 3e-2, log=True, when=MLP),
            "alpha": Real(1e-5, 1.0, log=True, when=MLP),
            "n_trees": Integer(10, 150, log=True, when=BOOSTING),
            "n_leaves": Integer(3, 31, log=True, when=BOOSTING),
            "shrinkage": Real(0.02, 0.5, log=True, when=BOOSTING),
            "reweighting": Real(0.0, 1.0),
        }
        self.post_training = {f"threshold_{group}": Real(0.05, 0.95) for group in thresholds}
        require_at_least_one(latency_batch=latency_batch)
        self.latency_batch, self.robustness = latency_batch, None
        if latency_batch:
            self.metrics = self.metrics | {"latency_ms": LATENCY}
        if robustness:
            require_some_of(DISTURBANCES, robustness=robustness)
            self.robustness = Robustness(tuple(robustness), bounds=None)
            self.metrics = self.metrics | self.robustness.metrics

    def profile(self, config: Configuration) -> dict[str, float]:
        """Time the prediction of a batch, if that is asked for, by a model that learnt a thousand rows."""
        if not self.latency_batch:
            return {}
        from threadpoolctl import threadpool_limits

        from evo_moo.evaluation.slots import compute_slot
        from evo_moo.toolkit.latency import Effort, measure_latency

        X, y, _ = self.parts["train"]
        batch = np.resize(X, (self.latency_batch, X.shape[1]))
        with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
            with compute_slot():  # no training while another process measures
                model = build_model(config, seed=0).fit(X[:N_TO_TIME], y[:N_TO_TIME])
            latency = measure_latency(lambda: model.predict_proba(batch), effort=Effort(limit_s=0.2))
        return {"latency_ms": latency.corrected_ms}

    def evaluate(self, config: Configuration, *, seed: int) -> list[Point]:
        """Train on one thread, and offer the thresholds that some trade-off would choose on the validation rows."""
        from threadpoolctl import threadpool_limits

        X, y, group = self.parts["train"]
        model = build_model(config, seed)
        with threadpool_limits(1), warnings.catch_warnings(action="ignore"):  # an MLP says that its epochs are few
            model.fit(X, y, sample_weight=reweighting(y, group, config["reweighting"]))
            scores = {part: model.predict_proba(self.parts[part][0])[:, 1] for part in ("validation", "test")}
            offered = self._thresholds(scores["validation"])
            table = self._metrics("validation", scores["validation"], offered)
            table |= {f"test_{name}": v for name, v in self._metrics("test", scores["test"], offered).items()}
            points = [{name: float(values[i]) for name, values in table.items()} for i in range(len(offered))]
            if self.robustness:
                X, y, group = self.parts["validation"]
                known = _Remembered(lambda rows: model.predict_proba(rows)[:, 1])
                for metrics, thresholds in zip(points, offered, strict=True):
                    metrics |= self.robustness.of_decisions(deciding(known, thresholds[group]), X, y, seed=seed)
        choices = [dict(zip(self.post_training, row, strict=True)) for row in offered.tolist()]
        return [Point(chosen, metrics) for chosen, metrics in zip(choices, points, strict=True)]

    def model(self, config: Configuration, *, seed: int, all_data: bool = False) -> TrainedModel:
        """Train as ``evaluate`` does, or with the validation rows too, and give the estimator with its thresholds."""
        from threadpoolctl import threadpool_limits

        parts = self.parts["train"], *([self.parts["validation"]] if all_data else [])
        X, y, group = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        model = build_model(config, seed)
        with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
            model.fit(X, y, sample_weight=reweighting(y, group, config["reweighting"]))
            score = model.predict_proba(self.parts["validation"][0])[:, 1]
        thresholds = np.array([[config[name] for name in self.post_training]])
        (X_test, y_test, group_test), names = self.parts["test"], np.array([str(group) for group in self.groups])
        return TrainedModel(
            model,
            self.parts["validation"][0][:64],
            outputs="score",
            test=(X_test, y_test),
            groups=names[group_test],
            thresholds=dict(zip(names.tolist(), thresholds[0].tolist(), strict=True)),
            metrics={name: float(v[0]) for name, v in self._metrics("validation", score, thresholds).items()},
            preprocessing=self.encoded.encoder,
            inputs="Rows encoded by the transformer beside; the group is no feature, but chooses the threshold.",
            classes=(f"not {self.table.positive}", str(self.table.positive)),
            data={"data": self.source, "target": self.table.target, "groups": self.table.sensitive}
            | {part: f"{len(labels):,} rows" for part, (_, labels, _) in self.parts.items()},
        )

    def _thresholds(self, score: Array) -> Array:
        """Return the rows of thresholds that are non-dominated in accuracy and fairness, ``(k, n_groups)``.

        Each kind of accuracy is paired with each kind of fairness, since a job may choose any as objectives.
        """
        rows = threshold_grid(len(self.groups))
        table = self._metrics("validation", score, rows)
        pairs = [(-table[one], table[other]) for one in ACCURATE for other in FAIR]
        kept = [moocore.is_nondominated(np.column_stack(pair), keep_weakly=False) for pair in pairs]
        return rows[np.any(kept, axis=0)]

    def _metrics(self, part: str, score: Array, thresholds: Array) -> dict[str, Array]:
        """Return the metrics of rows of thresholds on some part of the data, ``(k,)`` each."""
        from sklearn.metrics import roc_auc_score

        _, y, group = self.parts[part]
        table = threshold_metrics(y, score, group, thresholds)
        return table | {"auc": np.full(len(thresholds), roc_auc_score(y, score))}

    @cached_property
    def rows(self) -> "pd.DataFrame":
        """The table's rows and columns that are used; read once per process."""
        if self.file is None:
            import pandas as pd
            from sklearn.datasets import load_diabetes

            patients = load_diabetes(scaled=False)
            rows = pd.DataFrame(patients.data, columns=patients.feature_names).astype({"sex": int})
            return rows.assign(high_progression=(patients.target > np.median(patients.target)) * 1)
        rows = read_csv(self.file, self.table)
        if self.source == "compas":
            rows = compas_rows(rows, self.file.name)
        return usable_rows(rows, self.table)

    @property
    def parts(self) -> dict[str, Part]:
        """Features, labels and groups by the name of their part."""
        return self.encoded.parts

    @cached_property
    def encoded(self) -> EncodedTable:
        """The parts, and what encoded them; made once per process."""
        return split_and_encode(self.rows, self.table, self.groups)


class _Remembered:
    """A function of rows that computes each matrix once."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function, self._known = function, dict[bytes, Array]()

    def __call__(self, rows: Array) -> Array:
        key = rows.tobytes()
        if key not in self._known:
            self._known[key] = self._function(rows)
        return self._known[key]


def deciding(score_of: Callable[[Array], Array], thresholds: Array) -> Callable[[Array], Array]:
    """Return the decisions ``(n,)`` of rows by the threshold of each, ``(n,)``."""
    return lambda rows: score_of(rows) >= thresholds


@cache
def threshold_grid(n_groups: int) -> Array:
    """Return rows of thresholds to choose from, ``(k, n_groups)``: all of a grid, or ``MOST_TRIED`` of it."""
    steps = np.round(np.linspace(0.05, 0.95, 19), 2)
    if len(steps) ** n_groups <= MOST_TRIED:
        return np.array(list(product(steps, repeat=n_groups)))
    drawn = np.random.default_rng(0).choice(steps, (MOST_TRIED, n_groups))
    return np.unique(np.vstack([np.tile(steps[:, None], n_groups), drawn]), axis=0)


def build_model(config: Configuration, seed: int) -> Any:
    """Build an untrained classifier of scikit-learn's."""
    if config["model"] == "mlp":
        from sklearn.neural_network import MLPClassifier

        sizes = [config["width"]] * config["n_layers"]
        settings = {"max_iter": config["epochs"], "n_iter_no_change": config["epochs"], "tol": 0.0}
        rates = {"learning_rate_init": config["lr"], "alpha": config["alpha"]}
        return MLPClassifier(sizes, batch_size=128, random_state=seed, **settings, **rates)
    from sklearn.ensemble import HistGradientBoostingClassifier

    settings = {"max_leaf_nodes": config["n_leaves"], "learning_rate": config["shrinkage"], "early_stopping": False}
    return HistGradientBoostingClassifier(max_iter=config["n_trees"], random_state=seed, **settings)
