"""A search whose lowest rung is a supernet's accuracy: killed at each stage, and ended as one left in peace."""

from pathlib import Path

import pytest

from evo_moo.analysis.rung_summary import rung_report
from evo_moo.storage.reading import reading
from tests.integration.running import USER_FILE, front_of, ledger_of
from tests.integration.running import evo_moo as command

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

PROBLEM = f"{USER_FILE.with_name('supernet.py')}:KillsItsSupernet"


def job(folder: Path, name: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(
        f'[problem]\nuse = "{PROBLEM}"\noptions = {{ turns = "{folder / name}.txt" }}\n'
        "[search]\npop_size = 4\nseed = 3\n[surrogate]\nmodel = 'none'\n[budget]\nn_evals = 8\n"
        "[refinement]\nrungs = [1, 2]\neta = 2\n[evaluation]\nworkers = 1\n"
    )
    return path


def test_search_killed_at_each_stage_ends_as_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, turns in (("war", "supernet 1 2"), ("peace", "")):
        monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / f"cache of {name}"))
        (tmp_path / f"{name}.txt").write_text(turns)
        path = job(tmp_path, name)
        command("run", path, "--run-dir", name, cwd=tmp_path, code=-9 if turns else 0)
        for _ in turns.split():
            command("resume", name, cwd=tmp_path, code=None)
        assert (tmp_path / f"{name}.txt").read_text() == ""
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")
    assert front_of(tmp_path / "war") == front_of(tmp_path / "peace") != []
    with reading(tmp_path / "war") as ledger:
        low, full = rung_report(ledger)["rungs"]
    assert (low["fidelity"], full["fidelity"]) == (1, 2) and low["ended"] > full["ended"] > 0
