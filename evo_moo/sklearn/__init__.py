"""Multi-objective search of any estimator after scikit-learn's interface: pipelines, XGBoost, LightGBM, CatBoost."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.sklearn.costs import PredictTime as PredictTime
    from evo_moo.sklearn.search_cv import MultiObjectiveSearchCV as MultiObjectiveSearchCV

__getattr__, __all__ = lazy_names(__name__, {"costs": "PredictTime", "search_cv": "MultiObjectiveSearchCV"})
