"""A problem whose evaluations end in every way there is; tests follow and kill them through pipes with names."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from evo_moo import Choice, Integer, Real, SearchProblem

HELD_MB = 900
FATES = [
    "good",
    "raises",
    "nan",
    "text",
    "missing",
    "exits",
    "too large",
    "hangs",
    "dies",
    "stuck",
    "killed",
    "killed once",
    "hogs",
    "family hogs",
    "floods",
    "shouts and dies",
    "leaves children",
    "helpers",
    "shares",
    "starts processes",
    "loads data",
    "waits",
    "leaks",
    "loses its host",
    "loses its host once",
]
SLEEPER = [sys.executable, "-c", "import time; time.sleep(3600)"]


def scaled_mean(table, factor):
    """In the module of the problem, which no process can import by its name."""
    return round(float(table.mean() * factor))


def send_doubled(pipe, number):
    pipe.send(Doubled(2 * number))


class Doubled:
    """Sent from process to process."""

    def __init__(self, number):
        self.number = number


class Numbers:
    """A data set of this file."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return float(i)


class Fates(SearchProblem):
    variables = {"fate": Choice(FATES), "i": Integer(0, 9999)}
    objectives = {"a": "min", "b": "min"}

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.kept: list[bytes] = []

    def evaluate(self, config, *, seed):
        getattr(self, config["fate"].replace(" ", "_"), lambda i: None)(config["i"])
        values = {"a": config["i"] + seed % 7 / 10, "b": -config["i"]}
        match config["fate"]:
            case "nan":
                return values | {"a": math.nan}
            case "text":
                return values | {"a": "small"}
            case "missing":
                return {"a": values["a"]}
        return values

    def tell(self, pipe: str, text: object) -> None:
        with (self.folder / pipe).open("w") as file:
            file.write(f"{text}\n")

    def raises(self, i):
        print("about to raise")
        raise RuntimeError(f"as asked {i}")

    def exits(self, i):
        raise SystemExit(3)

    def too_large(self, i):
        np.ones(1 << 50)

    def hangs(self, i):
        time.sleep(3600)

    def dies(self, i):
        os._exit(9)

    def stuck(self, i):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        time.sleep(3600)

    def killed(self, i):
        self.tell("to kill", os.getpid())
        time.sleep(3600)

    def killed_once(self, i):
        marker = self.folder / f"killed {i}"
        if not marker.exists():
            marker.touch()
            self.killed(i)

    def hogs(self, i):
        held = b"x" * (HELD_MB * 10**6)
        time.sleep(3600)
        del held

    def family_hogs(self, i):
        code = f"import time; held = b'x' * {HELD_MB // 2 * 10**6}; time.sleep(3600)"
        for _ in range(2):
            subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        time.sleep(3600)

    def floods(self, i):
        os.write(2, b"first ")
        block = b"flood " * 10_000
        for _ in range(100_000_000 // len(block)):
            os.write(1, block)
        os.system("echo last from a child")

    def shouts_and_dies(self, i):
        print("last words")
        os.kill(os.getpid(), signal.SIGSEGV)

    def leaves_children(self, i):
        plain = subprocess.Popen(SLEEPER)
        detached = subprocess.Popen(
            ["sh", "-c", "sleep 3600 & echo $!"], start_new_session=True, stdout=subprocess.PIPE
        )
        orphan = int(detached.stdout.readline())
        (self.folder / f"children {i}").write_text(f"{plain.pid} {orphan}")

    def helpers(self, i):
        """All the usual helpers, one after the other, each of which must work in a worker."""
        from joblib import Parallel, delayed

        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(abs(-1)))
        thread.start()
        thread.join()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            results += pool.map(abs, [-2, -3])
        results += Parallel(n_jobs=2)(delayed(abs)(-x) for x in (4, 5))
        results.append(int(subprocess.run(["echo", "6"], capture_output=True, check=True).stdout))
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
        child.start()
        child.terminate()
        child.join()
        if results != [1, 2, 3, 4, 5, 6]:
            raise RuntimeError(f"{results}")

    def shares(self, i):
        """Hand a function of this file and a large table to the workers of joblib."""
        from joblib import Parallel, delayed

        table = np.ones(300_000)  # handed over as a file
        if Parallel(n_jobs=2)(delayed(scaled_mean)(table, x) for x in (4, 5)) != [4, 5]:
            raise RuntimeError("wrong")

    def starts_processes(self, i):
        """Start processes in every way that Python has, with a function and a class of this file."""
        for method in (None, "spawn", "fork", "forkserver"):
            context = multiprocessing.get_context(method)
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=send_doubled, args=(sender, i))
            child.start()
            doubled = receiver.recv()
            child.join()
            if type(doubled) is not Doubled or doubled.number != 2 * i:
                raise RuntimeError(f"{method}: {doubled}")
        with ProcessPoolExecutor(1) as executor:
            list(executor.map(abs, [-1]))

    def loads_data(self, i):
        from torch.utils.data import DataLoader

        for method in (None, "spawn"):
            loader = DataLoader(Numbers(), num_workers=1, multiprocessing_context=method)
            if [float(value) for value in loader] != [0, 1, 2, 3]:
                raise RuntimeError("wrong")

    def waits(self, i):
        """Hold on, with two children, until the test says or kills; go through once it has said."""
        if not (self.folder / "open").exists():
            children = [subprocess.Popen(SLEEPER), subprocess.Popen(SLEEPER, start_new_session=True)]
            self.tell("waiting", " ".join(str(pid) for pid in (os.getpid(), *(child.pid for child in children))))
            (self.folder / "gate").read_text()

    def leaks(self, i):
        from joblib.externals.loky import process_executor

        process_executor._MEMORY_LEAK_CHECK_DELAY = 0.0
        self.kept.append(b"x" * 400_000_000)
        print("process", os.getpid())

    def loses_its_host_once(self, i):
        """Where the pool is Dask's, let the Dask worker be killed."""
        marker = self.folder / f"lost {i}"
        if not marker.exists():
            marker.touch()
            self.tell("to kill", os.getppid())
            time.sleep(3600)

    def loses_its_host(self, i):
        self.tell("to kill", os.getppid())
        time.sleep(3600)


class Storm(Fates):
    """Ends each evaluation as the line of its number says in the file ``plan``."""

    variables = {"x": Real(0, 1), "i": Integer(0, 9999)}

    def evaluate(self, config, *, seed, workspace):
        number = int(workspace.name)
        fate = (self.folder / "plan").read_text().splitlines()[number - 1]
        values = super().evaluate({"fate": fate, "i": number}, seed=seed)
        return values | {"a": config["x"] * config["i"], "b": -config["i"] * (1 - config["x"])}
