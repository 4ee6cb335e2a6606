"""Pictures beside a command's answer: what fails is said, and decides nothing."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evo_moo
from evo_moo.cli.console import draw
from evo_moo.cli.main import app


def test_picture_that_cannot_be_drawn_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Any:
        raise OverflowError("too large to draw\x1b[2J")

    draw(fail, tmp_path / "front.png")
    assert capsys.readouterr().err == f"evo-moo: {tmp_path / 'front.png'} is not drawn: too large to draw\\x1b[2J\n"
    assert list(tmp_path.iterdir()) == []


def test_search_ends_well_without_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("cannot convert float NaN to integer")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    run = tmp_path / "r"
    command = ["run", "pymoo:zdt1", "--n-evals", "12", "--surrogate", "none", "--run-dir", str(run)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "front.png is not drawn: cannot convert float NaN" in done.stderr
    assert len(evo_moo.Result.read(run).evaluations) == 12 and (run / "front.csv").is_file()
