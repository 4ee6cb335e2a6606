"""A thousand mutations each of a job, a problem file, a ledger, an environment.json and saved weights.

Run: python -m tests.benchmarks fuzz

No command shows a traceback of ours, and none takes longer than ten seconds.
``python -m tests.integration.fuzz TARGET NUMBER`` makes one mutation again.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.integration.fuzz import Fuzz

N = 1000


def main(targets: tuple[str, ...] = (), numbers: range = range(N)) -> None:
    """Make the mutations, and print each fault."""
    n_faults = 0
    with tempfile.TemporaryDirectory() as name:
        fuzz = Fuzz(Path(name))
        for target in targets or fuzz.targets:
            start, found = time.monotonic(), 0
            for fault in fuzz.faults(target, numbers):
                found += 1
                print(fault, flush=True)
            print(f"{target}: {len(numbers)} mutations, {found} faults, {time.monotonic() - start:.0f} s", flush=True)
            n_faults += found
    if n_faults:
        raise SystemExit("no command must show a traceback or hang, but some do")


if __name__ == "__main__":
    main(tuple(sys.argv[1:2]), range(*map(int, sys.argv[2:4])) if sys.argv[2:] else range(N))
