"""Which of three models, with which preprocessing: accurate, quick to predict, small on disk."""

import sys

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from evo_moo import Integer, Real
from evo_moo.sklearn import MultiObjectiveSearchCV

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
pipeline = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())])
space = {
    "scale": {"none": "passthrough", "standard": StandardScaler()},
    "model": {
        "logistic": LogisticRegression(max_iter=500),
        "forest": RandomForestClassifier(),
        "boosting": HistGradientBoostingClassifier(),
    },
    "model__logistic__C": Real(1e-3, 1e3, log=True),
    "model__forest__n_estimators": Integer(2, 40, log=True),
    "model__forest__max_depth": [None, 2, 4, 8],
    "model__boosting__max_iter": Integer(2, 40, log=True),
}
search = MultiObjectiveSearchCV(
    pipeline,
    space,
    scoring="accuracy",
    costs=["predict_ms", "size_kb"],
    cv=3,
    n_evals=int(sys.argv[1]),
    n_jobs=2,
    random_state=1,
    refit={"limits": {"size_kb": {"at_most": 50}}, "order": ["accuracy"]},
)
search.fit(X_train, y_train)
for member in search.best_front_:
    print(member.metrics, member.params)
joblib.dump(search, sys.argv[2])
print(search.decision_.why)
print("on rows that the search never saw:", search.score(X_test, y_test))
