"""Load a built model in a fresh process, answer once, and print how long that took and how much memory: JSON."""

import json
import sys
from time import perf_counter

import psutil

from evo_moo.deployment.model_folder import ModelFolder
from evo_moo.deployment.runners import predict_of
from evo_moo.threads import one_thread


def main(path: str, runtime: str, *trust: str) -> None:
    """Measure one cold start, the runtime's own import aside."""
    folder = ModelFolder.read(path)
    (inputs, _), process = folder.examples(), psutil.Process()
    if runtime == "onnxruntime":
        import onnxruntime  # noqa: F401 - its import is not the model's
    elif runtime == "torch":
        import torch.export  # noqa: F401
    else:
        import sklearn  # noqa: F401
        import skops.io  # noqa: F401
    with one_thread():
        before, start = process.memory_info().rss, perf_counter()
        predict_of(folder, runtime, trust=bool(trust))(inputs[:1])
    cold_start_ms = (perf_counter() - start) * 1e3
    memory_mb = max(process.memory_info().rss - before, 0) / 1e6
    sys.stdout.write(json.dumps({"cold_start_ms": cold_start_ms, "memory_mb": memory_mb}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
