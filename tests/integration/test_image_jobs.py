"""The job files of the image problems, with a small budget."""

from pathlib import Path

import pytest

from evo_moo.analysis.result import Result
from tests.integration.running import evo_moo

pytestmark = pytest.mark.slow

pytest.importorskip("torch")

ROBUST = Path(__file__).parents[2] / "problems" / "image_robustness.toml"


def test_three_objectives_are_searched_by_nsga3(tmp_path: Path) -> None:
    small = ["--n-evals", 6, "--set", "search.pop_size=4", "--option", "epochs=1", "--option", "n_images=300"]
    evo_moo("run", ROBUST, *small, "--run-dir", "r", cwd=tmp_path)
    result = Result.read(tmp_path / "r")
    assert result.F.shape[1] == 3 and len(result.evaluations) == 6
    assert {e.status for e in result.evaluations} <= {"ok", "infeasible"}
    for metrics in result.metrics:
        assert metrics["accuracy_worst"] == min(v for n, v in metrics.items() if n.startswith("accuracy_"))


def test_data_that_are_not_there_are_one_message(tmp_path: Path) -> None:
    options = ["--option", "data=cifar10", "--option", f"root={tmp_path}"]
    done = evo_moo("run", ROBUST, *options, cwd=tmp_path, code=2)
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert "`problem.use`: `data` = 'cifar10' must lie in" in line and "set download = true" in line
    assert not list(tmp_path.glob("runs/*"))
