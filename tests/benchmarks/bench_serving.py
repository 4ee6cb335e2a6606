"""Networks of one search behind the service: the switch beside the fastest and the most accurate one alone.

A client in a process of its own sends 10,000 requests over loopback, at random times and at a rising rate, and measures
each from when it was due. With the name of a folder, the models there serve; without, they are searched and built.
"""

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evo_moo.deployment.serving import Member, Switch, poisson_arrivals, simulate
from evo_moo.deployment.serving.models import members_of, read_models
from evo_moo.deployment.serving.simulation import Simulated

N, SEED, N_RATES = 10_000, 1, 20
BATCH, N_BODIES = 512, 16
MOST_WAITING = 64
N_MODELS = 4
SEARCH = ("--n-evals", "30", "--seed", "1", "--workers", "1", "--option", "epochs=5", "--set", "search.pop_size=12")
HERE = Path(__file__).parent


def evo_moo(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-m", "evo_moo", *arguments]
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True).stdout


def build_models(folder: Path) -> None:
    """Search, and build members of the front whose latencies are about equally far apart."""
    evo_moo("run", f"{HERE / 'wide_digits.py'}:WideDigits", *SEARCH, "--run-dir", "run", cwd=folder)
    with (folder / "run" / "front.csv").open() as file:
        front = [(float(row["metrics.latency_ms"]), row["id"]) for row in csv.DictReader(file)]
    times = np.log([latency for latency, _ in front])
    wanted = np.linspace(times.min(), times.max(), N_MODELS)
    chosen = {front[int(np.abs(times - time).argmin())][1] for time in wanted}
    for i, member in enumerate(sorted(chosen)):
        data = ("--test-data", "test.npz") if i == 0 else ()
        evo_moo("build", "run", "--id", member, "--batch-size", str(BATCH), "--out", f"m{member}", *data, cwd=folder)


@dataclass(frozen=True)
class Sent:
    """What a client saw.

    Attributes:
        share_in_time: Share of all requests whose answer came within the deadline, from when they were due.
        accuracy: Share of right predictions, of all that came.
        good_in_time: Share of right predictions in time, of all that were asked for.
        refused: Share that was refused.
        models: Models to numbers of answers.
    """

    share_in_time: float
    accuracy: float
    good_in_time: float
    refused: float
    models: dict[str, int]


def bodies_of(data: Path) -> list[tuple[bytes, Any]]:
    """Requests of drawn test digits, with their labels."""
    with np.load(data) as arrays:
        inputs, labels = arrays["inputs"].astype("float16"), arrays["labels"]
    rng, bodies = np.random.default_rng(SEED), []
    for _ in range(N_BODIES):
        rows, file = rng.integers(len(labels), size=BATCH), io.BytesIO()
        np.save(file, inputs[rows])
        kind = "Host: localhost\r\nContent-Type: application/x-npy"
        head = f"POST /predict HTTP/1.1\r\n{kind}\r\nContent-Length: {file.tell()}\r\n\r\n"
        bodies.append((head.encode() + file.getvalue(), labels[rows]))
    return bodies


async def send(port: int, arrivals: Any, bodies: list[tuple[bytes, Any]]) -> list[tuple[float, int, float, str]]:
    """Send requests when they are due; latency in ms, status, accuracy and model of each."""
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    begin = time.perf_counter() + 0.1

    async def answered(body: bytes) -> tuple[str, bytes]:
        while True:
            while free and free[-1][0].at_eof():
                free.pop()[1].close()
            reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(body)
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                said = await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
            except (asyncio.IncompleteReadError, ConnectionError):  # closed while nothing was under way
                writer.close()
                continue
            free.append((reader, writer))
            return head, said

    async def one(i: int) -> tuple[float, int, float, str]:
        due, (body, labels) = begin + arrivals[i], bodies[i % N_BODIES]
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        head, said = await answered(body)
        took = (time.perf_counter() - due) * 1e3
        if (status := int(head.split()[1])) != 200:
            return took, status, 0.0, ""
        answer = orjson.loads(said)
        return took, status, float(np.mean(answer["predictions"] == labels)), answer["model"]

    return list(await asyncio.gather(*(one(i) for i in range(len(arrivals)))))


def client(port: int, folder: Path) -> None:
    """Send requests, and print what came of each."""
    arrivals = np.load(folder / "arrivals.npy", allow_pickle=False)
    print(json.dumps(asyncio.run(send(port, arrivals, bodies_of(folder / "test.npz")))))


def answers(models: list[str], arrivals: Any, deadline_ms: float, folder: Path) -> list[Any]:
    """Serve models in one process, ask them from another, and return what the client saw of each request."""
    np.save(folder / "arrivals.npy", arrivals)
    command = [sys.executable, "-m", "evo_moo", "serve", *models, "--limit", f"latency_ms <= {deadline_ms}"]
    command += ["--batch", str(BATCH), "--max-waiting", str(MOST_WAITING), "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = next(int(line.rpartition(":")[2]) for line in server.stdout if line.startswith("Serving on"))
            asked = [sys.executable, "-m", "tests.benchmarks.bench_serving", "client", str(port), str(folder)]
            done = subprocess.run(asked, cwd=HERE.parents[1], stdout=subprocess.PIPE, check=True)
        finally:
            server.terminate()
    return json.loads(done.stdout)


def summed(rows: list[Any], deadline_ms: float) -> Sent:
    came = [row for row in rows if row[1] == 200]
    in_time = [row for row in came if row[0] <= deadline_ms]
    return Sent(
        share_in_time=len(in_time) / len(rows),
        accuracy=float(np.mean([row[2] for row in came])),
        good_in_time=sum(row[2] for row in in_time) / len(rows),
        refused=sum(row[1] == 503 for row in rows) / len(rows),
        models=dict(Counter(row[3] for row in came)),
    )


def with_overhead(member: Member, overhead_ms: float) -> Member:
    return replace(member, latencies_ms=tuple(latency + overhead_ms for latency in member.latencies_ms))


def load() -> str:
    return ", ".join(f"{each:.1f}" for each in os.getloadavg())


def line(who: str, real: Sent, expected: Simulated) -> str:
    shares = f"{real.share_in_time:7.1%} {expected.share_in_time:9.1%}"
    quality = f"{real.accuracy:9.4f} {expected.mean_quality:9.4f}"
    good = f"{real.good_in_time:7.1%} {expected.good_in_time:9.1%}"
    return f"{who:22} {shares} | {quality} | {good} | {real.refused:7.1%} | {real.models}"


def main(folder: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as new:
        place = folder or Path(new)
        if folder is None:
            build_models(place)
        models = read_models(sorted(path.parent for path in place.glob("*/card.json")))
        with ThreadPoolExecutor(1) as executor:
            members = Switch(members_of(models, BATCH, executor), 1e6).members
        fast, slow = members[0], members[-1]
        print(f"load of the machine {load()}; a request has {BATCH} digits as .npy; one worker; seed {SEED}")
        for member in members:
            print(f"{member.name}: accuracy {member.quality:.4f}, {member.typical_ms:.2f} ms, alone in this process")
        print(f"the slowest takes {slow.typical_ms / fast.typical_ms:.0f} times as long as the fastest")
        calm = np.arange(200) / 20
        overhead_ms = float(np.median([row[0] for row in answers([fast.name], calm, 1e6, place)])) - fast.typical_ms
        members = [with_overhead(member, overhead_ms) for member in members]
        slowest, fastest = members[-1].typical_ms / 1e3, members[0].typical_ms / 1e3
        deadline_ms = round(4e3 * slowest)
        rates = np.geomspace(0.6 / slowest, 0.5 / fastest, N_RATES)
        arrivals = poisson_arrivals(rates, N, SEED)
        print(f"HTTP adds {overhead_ms:.2f} ms to the fastest; deadline {deadline_ms} ms from when a request is due")
        print(f"{N} requests in {arrivals[-1]:.0f} s, from {rates[0]:.0f} to {rates[-1]:.0f} per second")
        print(
            f"{'':22} {'in time':>7} {'simulated':>9} | {'accuracy':>9} {'simulated':>9} | {'right in time, simulated'}"
        )
        for who, these in (("the switch", members), ("the fastest", members[:1]), ("the most accurate", members[-1:])):
            expected = simulate(Switch(these, deadline_ms), arrivals, most_waiting=MOST_WAITING, seed=SEED)
            real = summed(answers([member.name for member in these], arrivals, deadline_ms, place), deadline_ms)
            print(f"{line(who, real, expected)}; load {load()}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        client(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*(Path(name).resolve() for name in sys.argv[1:2]))
