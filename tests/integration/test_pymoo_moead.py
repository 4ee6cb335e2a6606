"""A pymoo MOEA/D, as an object and by name, over a real training: killed, resumed, refused where it cannot search."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.util.ref_dirs import get_reference_directions
from sklearn.datasets import load_digits
from sklearn.tree import DecisionTreeClassifier

import evo_moo
from evo_moo.errors import JobError, UsageError
from evo_moo.run.doctor import examine
from evo_moo.storage.reading import reading

SETTINGS = {"n_evals": 40, "seed": 2, "workers": 1}


class Tree(evo_moo.SearchProblem):
    """A decision tree on half of the digits."""

    variables = {
        "n_leaves": evo_moo.Integer(2, 300, log=True),
        "criterion": evo_moo.Choice(["gini", "entropy"]),
        "cost": evo_moo.Real(1e-6, 1e-2, log=True),
    }
    objectives = {"accuracy": "max", "n_nodes": "min"}

    def evaluate(self, config, *, seed):
        X, y = load_digits(return_X_y=True)
        tree = DecisionTreeClassifier(
            max_leaf_nodes=config["n_leaves"],
            criterion=config["criterion"],
            ccp_alpha=config["cost"],
            random_state=seed,
        ).fit(X[::2], y[::2])
        return {"accuracy": tree.score(X[1::2], y[1::2]), "n_nodes": tree.tree_.node_count}


def moead():
    return MOEAD(get_reference_directions("das-dennis", 2, n_partitions=9), n_neighbors=4)


class Killed(evo_moo.Callback):
    """Ends the process in the midst of a round of MOEA/D."""

    def on_evaluation(self, run, evaluation):
        if evaluation.id == 27:
            os.kill(os.getpid(), signal.SIGKILL)


def test_killed_moead_ends_as_one_that_was_not(tmp_path):
    whole = evo_moo.search(f"{__file__}:Tree", moead(), **SETTINGS)
    code = (
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nimport evo_moo, test_pymoo_moead as t\n"
        f"evo_moo.search(t.__file__ + ':Tree', t.moead(), run_dir='run', callbacks=[t.Killed()], **t.SETTINGS)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with pytest.raises(UsageError, match=r"the pymoo object MOEAD .* no run folder holds; call evo_moo\.search"):
        evo_moo.resume(tmp_path / "run")
    with pytest.raises(evo_moo.errors.RunFolderError, match=r"search\.algorithm: 'the pymoo object MOEAD"):
        evo_moo.search(f"{__file__}:Tree", MOEAD(moead().ref_dirs), run_dir=tmp_path / "run", **SETTINGS)
    resumed = evo_moo.search(f"{__file__}:Tree", moead(), run_dir=tmp_path / "run", **SETTINGS)
    assert (resumed.configurations, resumed.metrics) == (whole.configurations, whole.metrics)
    assert len(whole.front) > 1
    assert all(finding.sound for finding in examine(tmp_path / "run"))
    with reading(tmp_path / "run") as ledger:
        bred = [e for e in ledger.evaluations() if e.generation > 1]
        assert ledger.events("running") and all(e.origin == "mating" and e.parents for e in bred)


def test_moead_by_name_is_resumed_from_its_folder(tmp_path):
    settings = SETTINGS | {"pop_size": 8}
    whole = evo_moo.search(f"{__file__}:Tree", "moead", **settings)
    evo_moo.search(f"{__file__}:Tree", "moead", run_dir=tmp_path / "run", **(settings | {"n_evals": 21}))
    assert evo_moo.resume(tmp_path / "run", n_evals=40).configurations == whole.configurations


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (
            {"constraints": {"n_nodes": {"at_most": 99}}},
            "MOEAD says: This implementation of MOEAD does not support any",
        ),
        ({"mode": "steady-state"}, "`search.mode` must be 'generational' with MOEAD"),
        ({"surrogate": "rf"}, "`surrogate` must go with algorithm = 'nsga2' or 'nsga3'"),
        ({"pop_size": 30}, "`search.pop_size` must be that of the object, 10, or left out, but is 30"),
        ({"objectives": {"accuracy": "max"}}, "`search.algorithm` must have reference directions of 1 objectives"),
        ({"refinement": {"rungs": [1, 3]}}, "`refinement` must go with algorithm = 'nsga2' or 'nsga3'"),
    ],
)
def test_faults_say_what_moead_cannot_do(given, fault):
    with pytest.raises(JobError) as caught:
        evo_moo.search(f"{__file__}:Tree", moead(), n_evals=20, **given)
    assert fault in str(caught.value)
