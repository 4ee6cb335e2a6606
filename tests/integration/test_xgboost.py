"""A search of an XGBoost problem, whose rounds are the fidelity: longer trainings go on from the saved trees."""

from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer

import evo_moo
from evo_moo import Choice, Fidelity, Integer, Real

xgboost = pytest.importorskip("xgboost")


class Boosted(evo_moo.SearchProblem):
    """Boosted trees on two thirds of the breast cancer data: error on the rest against the size of the model."""

    variables = {
        "depth": Integer(1, 5),
        "lr": Real(0.03, 0.6, log=True),
        "policy": Choice(["depthwise", "lossguide"]),
        "n_leaves": Integer(2, 16, log=True, when={"policy": "lossguide"}),
    }
    objectives = {"logloss": "min", "n_nodes": "min"}
    metrics = {"rounds_here": evo_moo.Metric()}
    fidelity = Fidelity("rounds", 3, 27)

    def evaluate(self, config, *, fidelity, weights, seed):
        X, y = load_breast_cancer(return_X_y=True)
        train, test = (xgboost.DMatrix(X[rows], y[rows]) for rows in (slice(0, 380), slice(380, None)))
        parameters = {"objective": "binary:logistic", "seed": seed, "nthread": 1, "tree_method": "hist"}
        parameters |= {"max_depth": config["depth"], "eta": config["lr"], "grow_policy": config["policy"]}
        parameters |= {"max_leaves": config.get("n_leaves", 0), "eval_metric": "logloss"}
        before = None
        if weights.previous is not None and (weights.previous / "trees.json").exists():
            before = xgboost.Booster(model_file=weights.previous / "trees.json")
        done = before.num_boosted_rounds() if before is not None else 0
        trees = xgboost.train(parameters, train, fidelity - done, xgb_model=before)
        if weights.own is not None:
            weights.own.mkdir(parents=True, exist_ok=True)
            trees.save_model(weights.own / "trees.json")
        loss = float(trees.eval(test).rpartition(":")[2])
        return {"logloss": loss, "n_nodes": len(trees.trees_to_dataframe()), "rounds_here": fidelity - done}


@pytest.mark.slow
def test_boosted_trees_go_on_from_their_rounds(tmp_path: Path) -> None:
    result = evo_moo.search(
        f"{__file__}:Boosted", n_evals=8, pop_size=6, seed=1, workers=2, run_dir=tmp_path / "run", refinement={"eta": 3}
    )
    ended = {e.id: e for e in result.evaluations}
    assert {e.status for e in ended.values()} == {"ok", "partial"}
    risen = [e for e in ended.values() if e.continues]
    assert risen and all(e.metrics["rounds_here"] == e.fidelity - ended[e.continues].fidelity for e in risen)
    best = min(result.front, key=lambda e: e.metrics["logloss"])
    alone = Boosted().call_evaluate(best.configuration, seed=best.seed).metrics
    assert alone["n_nodes"] == best.metrics["n_nodes"], "as if it had never stopped"
    assert alone["logloss"] == pytest.approx(best.metrics["logloss"], abs=1e-6)
