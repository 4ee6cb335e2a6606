"""Confirm a short search again and again, each time killed at another write: ``python -m`` this, with a folder."""

import itertools
import shutil
import sys
from pathlib import Path

import evo_moo
from evo_moo.analysis.confirmation_ledger import FOLDER
from tests.integration.kill_at_write import KILLED, Death, arm, forked, look, search
from tests.integration.running import front_of, ledger_of


def confirm(run_dir: Path, dies_at: int | None = None) -> None:
    if dies_at is not None:
        arm(Death(dies_at))
    evo_moo.confirm(run_dir, seeds=2, ids=[e.id for e in evo_moo.Result.read(run_dir).front[:2]], workers=1)


def main() -> None:
    folder, step = Path(sys.argv[1]), int(sys.argv[2])
    run_dir, faults, n_kills = folder / "r", 0, 0
    search(run_dir, "generational")
    confirm(run_dir)
    expected = ledger_of(run_dir / FOLDER), front_of(run_dir / FOLDER)
    for write in itertools.count(1, step):
        shutil.rmtree(run_dir / FOLDER)
        code = forked(lambda write=write: confirm(run_dir, write))  # type: ignore[misc]
        if code == 0:
            break
        n_kills += 1
        codes = [code, forked(lambda: look(run_dir / FOLDER)), forked(lambda: confirm(run_dir))]
        if codes != [KILLED, 0, 0] or (ledger_of(run_dir / FOLDER), front_of(run_dir / FOLDER)) != expected:
            faults += 1
            print(f"killed at write {write}: {codes}", flush=True)
    print(f"{n_kills} kills, {faults} faults")
    sys.exit(faults > 0 or n_kills < 30 // step)


if __name__ == "__main__":
    main()
