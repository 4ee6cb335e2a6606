import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from evo_moo import Choice, Integer, Real, SearchSpace
from evo_moo.sklearn.space import EstimatorSpace, on_one_thread

PIPELINE = Pipeline([("scale", StandardScaler()), ("model", SVC())])
MODELS = {"svm": SVC(), "forest": RandomForestClassifier(), "bag": BaggingClassifier()}


def test_each_option_has_parameters_of_its_own() -> None:
    nested = {
        "model": MODELS,
        "model__svm__C": Real(0.1, 10),
        "model__forest__max_depth": Integer(1, 4),
        "model__bag__estimator": {"tree": DecisionTreeClassifier(), "logistic": LogisticRegression()},
        "model__bag__estimator__tree__max_depth": Integer(5, 9),
    }
    space = EstimatorSpace(PIPELINE, nested)
    assert space.faults == []
    configurations = SearchSpace(space.variables).sample(60, np.random.default_rng(0))
    kinds = set()
    for config in SearchSpace(space.variables).decode(configurations):
        estimator = space.estimator_of(config, seed=3)
        model = estimator.named_steps["model"]
        kinds.add((type(model), type(getattr(model, "estimator", None))))
        if isinstance(model, SVC):
            assert config.keys() == {"model", "model__svm__C"}
            assert config["model__svm__C"] == model.C
        elif isinstance(model, RandomForestClassifier):
            assert 1 <= model.max_depth == config["model__forest__max_depth"] <= 4
        elif isinstance(model.estimator, DecisionTreeClassifier):
            assert 5 <= model.estimator.max_depth <= 9
    assert len(kinds) == 4


@pytest.mark.parametrize(
    ("value", "variable"),
    [
        (Real(0.1, 1), Real(0.1, 1)),
        ([None, 2, 4], Choice([None, 2, 4])),
        (np.array([1.0, 10.0]), Choice([1.0, 10.0])),
        (stats.loguniform(0.1, 10), Real(0.1, 10.0, log=True)),
        (stats.uniform(1, 2), Real(1.0, 3.0)),
        (stats.randint(1, 5), Integer(1, 4)),
        (range(40, 9, -10), Integer(10, 40, step=10)),
    ],
    ids=["variable", "list", "array", "loguniform", "uniform", "randint", "range"],
)
def test_values_may_be_written_as_for_scikit_learn(value: object, variable: object) -> None:
    assert EstimatorSpace(SVC(), {"C": value}).variables == {"C": variable}


def test_objects_of_a_list_go_by_their_names() -> None:
    space = EstimatorSpace(
        PIPELINE, {"scale": ["passthrough", StandardScaler()], "model": [SVC(), DecisionTreeClassifier()]}
    )
    assert space.variables["scale"] == Choice(["passthrough", "StandardScaler"])
    assert space.variables["model"] == Choice(["SVC", "DecisionTreeClassifier"])


def test_a_wrong_space_says_all_its_faults() -> None:
    wrong = {
        "model": MODELS,
        "model__svm__Gamma": Real(0, 1),
        "model__forest__C": Real(0, 1),
        "model__degree": Integer(1, 3, when={"model": "forest"}),
        "skale": [1, 2],
        "model__svm__C": stats.norm(),
        "scale": [SVC(), SVC()],
        "memory": {},
        "model__bag__n_estimators": Integer(1, 3),
        "model__n_estimators": Integer(1, 3, when={"model": "bag"}),
    }
    faults = EstimatorSpace(PIPELINE, wrong).faults
    for name, words in {
        "model__svm__Gamma": "must be a parameter of Pipeline where model is svm, but 'model__Gamma' is none",
        "model__forest__C": "is none",
        "model__degree": "is none",
        "skale": "did you mean 'scale'?",
        "model__svm__C": "(uniform, loguniform, randint), but is 'norm'",
        "scale": "must be a dict that names its objects",
        "memory": "but is {}",
        "model__n_estimators": "must not set what `space.model__bag__n_estimators` sets",
    }.items():
        assert [f for f in faults if f.startswith(f"`space.{name}` ") and words in f], (name, faults)
    assert len(faults) == 8


def test_a_list_of_spaces_is_told_the_way_out() -> None:
    (fault,) = EstimatorSpace(SVC(), [{"C": [1]}]).faults
    assert "of a list of dicts make one" in fault


def test_the_seed_decides_what_is_left_open_only() -> None:
    space = EstimatorSpace(
        PIPELINE, {"model": {"a": RandomForestClassifier(), "b": RandomForestClassifier(random_state=5)}}
    )
    seeds = [space.estimator_of({"model": m}, s).named_steps["model"].random_state for m in "ab" for s in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[3:] == [5, 5, 5]


def test_one_thread_unless_a_number_is_named() -> None:
    forests = Pipeline([("a", RandomForestClassifier(n_jobs=-1)), ("b", RandomForestClassifier(n_jobs=3))])
    assert [step.n_jobs for _, step in on_one_thread(forests).steps] == [1, 3]
    assert on_one_thread(BaggingClassifier(RandomForestClassifier(n_jobs=-1))).estimator.n_jobs == 1
