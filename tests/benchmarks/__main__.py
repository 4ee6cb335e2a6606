"""Run every benchmark of this folder, one after the other: ``make bench``.

The comparison of search quality takes hours, and runs only when it is named: ``make bench-search``.
"""

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Run the benchmarks, or those whose names are given."""
    if sys.argv[1:2] == ["search"]:
        from tests.benchmarks.search import runner

        runner.main(sys.argv[2:])
        return
    here = Path(__file__).parent
    for path in sorted(here.glob("bench_*.py")):
        if not sys.argv[1:] or path.stem.removeprefix("bench_") in sys.argv[1:]:
            print(f"\n== {path.stem.removeprefix('bench_')}", flush=True)
            importlib.import_module(f"tests.benchmarks.{path.stem}").main()


if __name__ == "__main__":
    main()
