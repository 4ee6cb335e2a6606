"""One search, in a process of its own: ``python -m tests.benchmarks.search.worker TASK FILE``.

Each evaluation is a line of the file as it ends, so that what a killed process had done is known. The last line is
the outcome: ``{"status": "ok"}``, or another status with its reason.
"""

import json
import resource
import sys
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks.search.methods import METHODS, UnsupportedError, run
from tests.benchmarks.search.problems import build


def search(task: dict[str, Any], write: Any) -> dict[str, Any]:
    """Search, write each evaluation, and give the outcome."""
    problem, method = build(task["problem"], Path(task["cache"])), METHODS[task["method"]]
    found = {"package": f"{method.package} {version(method.package)}"}
    n = 0
    try:
        for evaluated in run(method, problem, task["n_evals"], task["batch"], task["seed"]):
            write(evaluated._asdict())
            n += 1
    except UnsupportedError as error:
        return {**found, "status": "unsupported", "reason": str(error)}
    except Exception as error:
        traceback.print_exc()
        last = str(error).strip().splitlines()[:1]
        return {**found, "status": "failed", "reason": ": ".join([type(error).__name__, *last])[:300]}
    if n < task["n_evals"]:
        return {**found, "status": "exhausted", "reason": "it had nothing left to ask"}
    return {**found, "status": "ok"}


def main() -> None:
    """Run the task of the command line."""
    task = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    limit = int(task["limit_s"])
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    with Path(sys.argv[2]).open("w", buffering=1) as file:

        def write(row: dict[str, Any]) -> None:
            file.write(json.dumps(row) + "\n")

        write(search(task, write))


if __name__ == "__main__":
    main()
