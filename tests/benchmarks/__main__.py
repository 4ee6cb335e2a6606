"""Run every benchmark of this folder, one after the other: ``make bench``."""

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Run the benchmarks, or those whose names are given."""
    here = Path(__file__).parent
    for path in sorted(here.glob("bench_*.py")):
        if not sys.argv[1:] or path.stem.removeprefix("bench_") in sys.argv[1:]:
            print(f"\n== {path.stem.removeprefix('bench_')}", flush=True)
            importlib.import_module(f"tests.benchmarks.{path.stem}").main()


if __name__ == "__main__":
    main()
