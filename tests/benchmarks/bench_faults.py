"""200 evaluations, of which 10 % raise, 5 % hang, 5 % are killed from outside and 2 % use too much memory.

Each must be recorded once, with the right outcome, on worker processes and on a Dask cluster; the same search without
faults beside it says what the faults cost.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

from evo_moo.api import run_job
from evo_moo.job import check_job
from tests.integration.running import Killer, fates

N_EVALS, N_WORKERS, TIMEOUT_S = 200, 2, 1.0
SHARES = {"raises": 0.10, "hangs": 0.05, "killed": 0.05, "hogs": 0.02}
ENDINGS = {"good": "ok", "raises": "failed", "hangs": "timeout", "killed": "crashed", "hogs": "failed"}


def storm(pool: str, order: list[str]) -> float:
    with tempfile.TemporaryDirectory() as name, Killer(Path(name) / "to kill"):
        source = fates(Path(name))
        job = {
            "problem": {"use": source.reference, "options": source.options},
            "search": {"pop_size": N_EVALS, "start": [{"fate": fate, "i": i} for i, fate in enumerate(order)]},
            "budget": {"n_evals": N_EVALS},
            "evaluation": {"pool": pool, "workers": N_WORKERS, "timeout": TIMEOUT_S, "memory_mb": 700},
        }
        start = time.perf_counter()
        result = run_job(*check_job(job), Path(name) / "r", verbose=False)
        seconds = time.perf_counter() - start
    if [(e.id, e.status) for e in result.evaluations] != [(i + 1, ENDINGS[fate]) for i, fate in enumerate(order)]:
        raise SystemExit(f"{pool}: every evaluation must be recorded once with its outcome, but is not")
    print(f"{pool:5} {seconds:6.1f} s: {dict(Counter(e.status for e in result.evaluations))}, as they should be")
    return seconds


def main() -> None:
    planned = [fate for fate, share in SHARES.items() for _ in range(round(share * N_EVALS))]
    planned += ["good"] * (N_EVALS - len(planned))
    order = [planned[i * 7 % N_EVALS] for i in range(N_EVALS)]
    for pool in ("loky", "dask"):
        quiet, stormy = storm(pool, ["good"] * N_EVALS), storm(pool, order)
        waited = SHARES["hangs"] * N_EVALS * TIMEOUT_S / N_WORKERS
        print(f"{pool:5} {stormy - quiet:6.1f} s more than without faults, of which time limits make {waited:.1f} s")


if __name__ == "__main__":
    main()
