"""What drives the trade-offs: how much each variable matters to each metric of a run.

Two measures, each with its uncertainty: permutation importance of the validated model, about zero for what does not
matter, and the variance shares of functional ANOVA, of single variables and of pairs. Both speak of a region, the whole
search space or the box around the best configurations, where all values count alike, not of where the search went.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.importance.cells import Cells, Weights
from evo_moo.analysis.importance.fanova import Forest
from evo_moo.analysis.importance.permutation import Permutation
from evo_moo.analysis.run_table import RunTable, columns_of
from evo_moo.analysis.validated_models import FEWEST, Validated, validated
from evo_moo.seeding import seed_for
from evo_moo.surrogate.model_selection import score
from evo_moo.surrogate.protocol import Prediction
from evo_moo.threads import one_blas_thread

N_FOR_PAIRS = 6
"""Variables whose pairs are looked at: the most important ones."""
WHOLE_SPACE = "the search space"
NEAR_FRONT = "the box around the evaluations near the front"


def importances(
    run: str | Path | RunTable, metrics: Sequence[str] | None = None, *, near_front: bool = False
) -> dict[str, Any]:
    """Return which variables drive each metric of a run, as plain data.

    Args:
        run: A run folder, whose run may still go on, or its table.
        metrics: Names of metrics, by default the objectives.
        near_front: Ask about the box that the Pareto front and the next best quarter of the evaluations span, instead
            of the search space.

    Returns:
        ``over``: the region in words; ``n_evaluated``: number of different configurations that were evaluated;
        ``left_out``: status to the number of evaluations that gave nothing; ``metrics``: name to

        - ``nothing``: why there are no importances; empty where there are;
        - ``n_known``, ``n_learnt``: the number of configurations that have the metric, and of those drawn of them;
        - ``model``, ``n``, ``rank_correlation``: the model, the number of configurations in the region, and Kendall's
          tau between its predictions of them and their values, each predicted by a model that did not learn it;
        - ``log``: whether it is the variance of the metric's logarithm that is shared out;
        - ``unexplained``: the share of that variance which the model does not explain, on what it did not learn;
        - ``variables``: the most important first, each with ``variable``; ``importance`` and ``error``, of the
          permutation; ``main`` and ``main_sd``, the share of variance by itself; ``exists_in``, the share of the region
          in which it exists, which all its figures are about; ``n``, its evaluations there. None where too few;
        - ``pairs``: the largest first, each with ``one``, ``other``, ``share``, ``sd`` and ``exists_in``;
        - ``forest_rank_correlation``: of the forest behind the shares; they are None and ``pairs`` is empty where
          it ranks no better than chance.

    Raises:
        RunFolderError: The folder cannot be read.
        MetricError: A metric is not known, or there is no front to be near to.
    """
    table = RunTable.of(run)
    names = table.checked_metrics(metrics)
    cells = Cells(table.space)
    region = cells.spanned(table.X[table.near_front()]) if near_front else cells.weights
    with one_blas_thread():
        result = {
            name: {"n_known": len(table.known(name)), "n_learnt": len((known := validated(table, name)).X)}
            | _of_metric(known, cells, region, table.seed)
            for name in names
        }
    over = NEAR_FRONT if near_front else WHOLE_SPACE
    return {"over": over, "n_evaluated": table.n_measured, "left_out": table.left_out, "metrics": result}


def learnt_in_words(metric: dict[str, Any]) -> str:
    """Say what share of the configurations the models of a metric of ``importances`` learnt; empty where all."""
    n, known = metric["n_learnt"], metric["n_known"]
    return "" if n == known else f"learnt from {n:,} of {known:,} configurations, drawn at random"


def importance_columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the variables of ``importances`` as columns of one table, a row for each metric and variable."""
    rows = [{"metric": name, **row} for name, facts in result["metrics"].items() for row in facts["variables"]]
    return columns_of(rows, "metric", "variable", "importance", "error", "main", "main_sd", "exists_in", "n")


def pair_columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the pairs of ``importances`` as columns of one table, a row for each metric and pair."""
    rows = [{"metric": name, **row} for name, facts in result["metrics"].items() for row in facts["pairs"]]
    return columns_of(rows, "metric", "one", "other", "share", "sd", "exists_in")


def _of_metric(known: Validated, cells: Cells, region: Weights, seed: int) -> dict[str, Any]:
    result: dict[str, Any] = {"nothing": known.nothing, "model": known.family, "n": len(known.X)}
    result |= {"rank_correlation": known.scores and known.scores.rank_correlation, "log": known.log}
    result |= {"unexplained": None, "variables": [], "pairs": [], "forest_rank_correlation": None}
    if known.model is None:
        return result
    permutation = Permutation(known, cells, region, seed)
    n = int(permutation.inside.sum())
    if n < FEWEST:
        return result | {"n": n, "nothing": f"{n} evaluated configurations there have it, but it takes {FEWEST}"}
    scores = permutation.scores()
    result |= {"n": scores.n, "rank_correlation": scores.rank_correlation}
    if not scores.better_than_chance:
        return result | {"nothing": f"no model ranks its {n} values there better than chance"}
    y = (known.y - known.y.mean()) / known.y.std()
    forest = Forest(cells, known.X, y, seed_for("fanova", seed), known.trainings)
    rows = permutation.inside
    of_forest = score(Prediction(forest.out_of_bag[rows], np.ones(scores.n)), y[rows])
    trusted = forest if of_forest.better_than_chance else None
    variables = [_of_variable(name, permutation, trusted, cells, region) for name in cells.space.names]
    variables.sort(key=lambda row: (row["importance"] is not None, row["importance"] or 0.0), reverse=True)
    pairs = [] if trusted is None else _pairs(variables[:N_FOR_PAIRS], trusted, cells, region)
    result |= {"unexplained": permutation.unexplained(), "forest_rank_correlation": of_forest.rank_correlation}
    return result | {"variables": variables, "pairs": pairs}


def _of_variable(
    name: str, permutation: Permutation, forest: Forest | None, cells: Cells, region: Weights
) -> dict[str, Any]:
    place = cells.space.layout.places[name]
    weights, share = cells.where_they_exist((place.start,), region)
    importance = permutation.of(place)
    main = forest.main(place.start, weights) if forest is not None and importance is not None else None
    return {
        "variable": name,
        "importance": importance and importance.value,
        "error": importance and importance.error,
        "main": main and main.share,
        "main_sd": main and main.sd,
        "exists_in": share,
        "n": int(permutation.rows(place).sum()),
    }


def _pairs(rows: Sequence[dict[str, Any]], forest: Forest, cells: Cells, region: Weights) -> list[dict[str, Any]]:
    pairs = []
    for one, other in itertools.combinations([row["variable"] for row in rows if row["main"] is not None], 2):
        columns = first, second = cells.space.layout.places[one].start, cells.space.layout.places[other].start
        weights, share = cells.where_they_exist(columns, region)
        if share > 0:
            effect = forest.pair(first, second, weights)
            pairs.append({"one": one, "other": other, "share": effect.share, "sd": effect.sd, "exists_in": share})
    return sorted(pairs, key=lambda pair: -pair["share"])
