"""200 evaluations, of which 10 % raise, 5 % hang, 5 % are killed from outside and 2 % use too much memory.

Each must be recorded once, with the right outcome, generational and steady-state, on worker processes and on a Dask
cluster that loses and gains workers meanwhile; the same search without faults beside it says what the faults cost.
"""

import contextlib
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.integration import storm

N_EVALS, N_LOSSES = 200, 2


def seconds(pool: str, mode: str, fates: list[str]) -> float:
    """Search, check what is recorded, and give the time that it took."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        evaluation = {"pool": pool}
        if pool == "dask":
            evaluation["address"] = stack.enter_context(storm.dask_cluster(Path(name)))
        start = time.perf_counter()
        result, _ = storm.search(Path(name), fates, mode, evaluation)
        taken_s = time.perf_counter() - start
    if storm.recorded(result) != storm.expected(fates):
        raise SystemExit(f"{pool}, {mode}: every evaluation must be recorded once with its outcome, but is not")
    counts = dict(Counter(e.status for e in result.evaluations))
    print(f"{pool:5} {mode:13} {taken_s:6.1f} s: {counts}, as they should be", flush=True)
    return taken_s


def main() -> None:
    for pool in ("loky", "dask"):
        for mode in ("generational", "steady-state"):
            fates = storm.planned(N_EVALS, losses=N_LOSSES if pool == "dask" else 0)
            extra_s = -seconds(pool, mode, storm.planned(N_EVALS, faults=False)) + seconds(pool, mode, fates)
            waited_s = fates.count("hangs") * storm.TIMEOUT_S / storm.N_WORKERS
            print(f"{extra_s:26.1f} s more than without faults, of which time limits make {waited_s:.1f} s")


if __name__ == "__main__":
    main()
