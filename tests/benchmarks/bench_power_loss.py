"""Over two hundred power failures at random instants, of several kinds of searches; a run may be cut up to three times.

Run: python -m tests.benchmarks power_loss

After each, the folder opens, nothing is lost that was acknowledged (of cheap evaluations less than a second together),
and the run that goes on ends as its twin. ``tests/integration/power_loss.py`` says what a power failure leaves.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.integration.power_loss import KINDS, compiled

N_CUTS, SEED = 34, 20


def main() -> None:
    """Cut, and print the faults of each kind."""
    is_sound = True
    with tempfile.TemporaryDirectory() as name:
        library = compiled(Path(name))
        if library is None:
            raise SystemExit("a C compiler, gcc or cc, and Linux are needed to note writes, but are not there")
        folders = {f"EVO_MOO_{what.upper()}_DIR": f"{name}/{what}" for what in ("slot", "cache", "state")}
        for kind in KINDS:
            folder = Path(name, kind)
            folder.mkdir()
            command = [sys.executable, "-m", "tests.integration.power_loss", folder, kind, str(N_CUTS), str(SEED)]
            done = subprocess.run(command, env=os.environ | folders | {"LD_PRELOAD": str(library)}, check=False)
            print(f"{kind}: {'sound' if done.returncode == 0 else 'not as its twin'}, seed {SEED}", flush=True)
            is_sound = is_sound and done.returncode == 0
    print(f"{N_CUTS * len(KINDS)} cuts in all")
    if not is_sound:
        raise SystemExit("every run must lose nothing and end like its twin, but has not")


if __name__ == "__main__":
    main()
