"""Who gets what of the metadata that ``fit`` is given: the estimator, the scorers, the folds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sklearn
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from evo_moo.sklearn.declared import read_scoring


class Passed(NamedTuple):
    """What is passed on.

    Attributes:
        fit: What the estimator's ``fit`` gets, for the refit.
        split: What the folds get.
        params: What the cross-validation gets, which passes it on itself.
    """

    fit: Mapping[str, Any]
    split: Mapping[str, Any]
    params: Mapping[str, Any]


def is_routing() -> bool:
    """Return whether scikit-learn's metadata routing is enabled."""
    return bool(sklearn.get_config()["enable_metadata_routing"])


def consumers(asked: Any) -> Any:
    """Return the router of a search's estimator and scorers."""
    router = MetadataRouter(owner=asked)
    router.add(estimator=asked.estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
    to_score = MethodMapping().add(caller="fit", callee="score").add(caller="score", callee="score")
    for name, scorer in read_scoring(asked.estimator, asked.scoring)[0].items():
        router.add(**{f"scorer {name}": scorer}, method_mapping=to_score)
    return router


def routed(asked: Any, params: Mapping[str, Any]) -> Passed:
    """Return who gets what of the parameters of ``fit``; without metadata routing the folds get the groups only."""
    if not is_routing():
        rest = {name: value for name, value in params.items() if name != "groups"}
        return Passed(rest, {"groups": params.get("groups")}, rest)
    to = process_routing(asked, "fit", **params)
    used = consumers(asked).consumes("fit", params)
    return Passed(to.estimator.fit, to.splitter.split, {name: params[name] for name in params if name in used})
