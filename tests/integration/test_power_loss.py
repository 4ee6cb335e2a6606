"""What is recorded outlives a power failure, and a run that was cut ends as its twin."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.power_loss import KINDS, compiled
from tests.integration.running import PATIENCE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_power_failure_costs_nothing_acknowledged(kind: str, tmp_path: Path) -> None:
    library = compiled(tmp_path)
    if library is None:
        pytest.skip("no gcc or cc is there to compile the library that notes writes, or this is no Linux")
    command = [sys.executable, "-m", "tests.integration.power_loss", tmp_path, kind, "2", "1"]
    env = os.environ | {"LD_PRELOAD": str(library)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "2 cuts, 0 faults"
