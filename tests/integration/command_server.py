"""Run commands of evo-moo, each in a process of its own: a fork of a server that has imported what they need.

A command so costs a fraction of what a new interpreter costs, and is a process like any other, with its own exit
code, signals, folder, environment and streams. Each line that the server reads asks for one; it answers with the exit
code.
"""

import functools
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

IMPORTED = (
    *("evo_moo.cli.main", "evo_moo.run.api", "evo_moo.run.assembly", "evo_moo.run.doctor", "evo_moo.report.page"),
    *("evo_moo.analysis.figures", "evo_moo.cli.front_table", "evo_moo.evaluation.loky_pool", "matplotlib.figure"),
    *("evo_moo.surrogates.gaussian_process", "evo_moo.surrogates.random_forest", "moocore", "sklearn.ensemble"),
)
STREAMS = ("stdout", "stderr")


def run(arguments: Sequence[str], cwd: Path, draws: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a command until nobody writes to its streams any more, neither it nor what it has started.

    Unless it ``draws``, it leaves out the picture of the front, which takes longer than most searches of the tests.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(STREAMS)) as readers:
        pipes = [Path(folder) / name for name in STREAMS]
        for pipe in pipes:
            os.mkfifo(pipe)
        texts = [readers.submit(pipe.read_text) for pipe in pipes]
        server = _server()
        request = {"arguments": arguments, "cwd": str(cwd), "environment": dict(os.environ), "streams": folder}
        request["draws"] = draws
        print(json.dumps(request), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *[text.result() for text in texts])


@functools.cache
def _server() -> "subprocess.Popen[str]":
    """Start the server of this process; it ends with it, as the pipe of its requests does."""
    command = [sys.executable, "-m", "tests.integration.command_server"]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # a fork that ends then leaves alone what it shares with this process
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            _become(**json.loads(line))
            runpy.run_module("evo_moo", run_name="__main__", alter_sys=True)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(arguments: list[str], cwd: str, environment: dict[str, str], streams: str, draws: bool) -> None:
    for stream, name in enumerate([os.devnull, *STREAMS]):
        file = os.open(Path(streams) / name, os.O_WRONLY if stream else os.O_RDONLY)
        os.dup2(file, stream)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0:1] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[1:] = arguments
    if not draws:
        console = sys.modules["evo_moo.cli.console"]
        draw = console.draw
        console.draw = lambda make, path, is_asked_for=True: draw(make, path) if is_asked_for else None


if __name__ == "__main__":
    serve()
