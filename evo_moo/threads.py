"""How many threads numeric libraries use: one, since the number of threads decides the last bits of a result."""

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Environment variables that numeric libraries read when they are loaded."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let the numeric libraries of this process use one thread, as they do in a worker.

    The number of threads decides the order of sums, and so the last bits of a training's result.
    """
    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch is not None else 0
    outside = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with _libraries(len(sys.modules)).limit(limits=1):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(n_threads)
        for name, value in outside.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def one_blas_thread() -> AbstractContextManager[Any]:
    """Let linear algebra use one thread inside a ``with`` block; quicker to enter than ``one_thread``.

    Matrices of some hundred rows are too small to share, and threads fight with the workers for the cores.
    """
    return _linear_algebra().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """Return the numeric libraries of this process; to find them takes milliseconds, and a new module may bring one."""
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()


@functools.cache
def _linear_algebra() -> Any:
    import scipy.linalg  # noqa: F401 - it brings a library of its own, which must be loaded to be found
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()
