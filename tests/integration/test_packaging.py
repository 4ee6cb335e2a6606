"""The wheel: what is in it, and that it works where nothing else of the project is."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("evo_moo", "problems", "surrogates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    engine = [p.relative_to(ROOT).as_posix() for p in (ROOT / "evo_moo").rglob("*") if p.is_file()]
    expected = {name for name in engine if "__pycache__" not in name and not name.endswith("README.md")}
    assert {"evo_moo/report/templates/report.html.j2", "evo_moo/run/engine.py", "evo_moo/py.typed"} <= expected
    for folder in ("problems", "surrogates"):
        kinds = (".py", ".toml") if folder == "problems" else (".py",)
        expected |= {f"evo_moo/{folder}/{p.name}" for p in (ROOT / folder).iterdir() if p.suffix in kinds}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    # The dependencies are lent by path alone, so that nothing of the checkout comes along.
    lent = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True
    )
    (Path(lent.stdout.strip()) / "lent.pth").write_text(sysconfig.get_path("purelib"))
    code = "import evo_moo, evo_moo.problems.digits_cnn as p; print(evo_moo.__file__, p.__file__)"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert all(str(tmp_path / "env") in path for path in found.split())
    command = [tmp_path / "env" / "bin" / "evo-moo", "run", "pymoo:bnh", "--n-evals", "200", "--run-dir", "r"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Pareto front" in done.stdout
    assert "Pareto front" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    listed = subprocess.run([*command[:1], "problems"], capture_output=True, text=True, cwd=tmp_path)
    assert "digits_cnn" in listed.stdout
