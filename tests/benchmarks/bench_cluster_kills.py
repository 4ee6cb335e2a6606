"""Sixty SIGKILLs at random instants, of a run that listens with TLS and of the two processes that work for it.

All three are on this host, and each is started again at once after its kill. Half of the kills of the run find a
worker frozen, which wakes up with the outcome of an evaluation that by then is another's. Meanwhile a stranger knocks.
In the end the ledger and the front must be those of a twin that ran alone, bit for bit; every outcome that was recorded
before a kill must still be there, with the times of the evaluation that gave it; nothing of the three may be left; and
the stranger must have been refused each time, while one who has the keys was not.
"""

import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from tests.benchmarks.bench_kills import job, recorded, state_of
from tests.integration.cluster import VICTIMS, Cluster, cluster
from tests.integration.running import evo_moo, front_of, ledger_of

N_KILLS, N_EVALS, SEED, PATIENCE_S = 60, 480, 20, 120


def main() -> None:
    rng, found, refused = random.Random(SEED), Counter[str](), Counter[str]()
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(N_KILLS)]
    rng.shuffle(victims)
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        path = job(folder, n_evals=N_EVALS)
        evo_moo("run", path, "--run-dir", folder / "alone", cwd=folder)
        rows: dict[int, tuple[object, ...]] = {}
        lost = repeated = n_frozen = 0
        with cluster(folder, path) as three:
            for number, victim in enumerate([*victims, ""]):
                await_outcomes(three, round((number + rng.random()) / N_KILLS * N_EVALS * 0.95) if victim else N_EVALS)
                if number % 10 == 5:
                    refused.update(who for who, was_refused in three.refused().items() if was_refused)
                    refused["all"] += 1
                time.sleep(rng.uniform(0, 0.1))
                is_frozen = victim == "head" and number % 2 == 0
                three.freeze(is_frozen)
                n_frozen += is_frozen
                if victim:
                    found[f"{victim}: {state_of(three.run_dir, N_EVALS)}"] += 1
                    three.kill(victim)
                now = recorded(three.run_dir)
                lost += len(rows.keys() - now.keys())
                repeated += sum(now[i] != row for i, row in rows.items() if i in now)
                rows = now
            codes = three.wait()
            run_dir, said = three.run_dir, three.said
        equal = ledger_of(run_dir) == ledger_of(folder / "alone") and front_of(run_dir) == front_of(folder / "alone")
        left = left_of(folder)
    whom = ", ".join(f"{count} {state}" for state, count in found.most_common())
    print(f"{N_KILLS} kills in {time.monotonic() - began:.0f} s on {os.cpu_count()} cores: {whom}")
    print(f"{n_frozen} found a worker frozen")
    print(f"{len(rows)} outcomes, {lost} lost, {repeated} repeated; as alone: {equal}; exit codes {codes}")
    print(f"refused: {dict(refused)}; processes left: {left}; tracebacks: {said.count('Traceback')}")
    strangers = {"plain", "without a key", "other keys"}
    sound = equal and not lost + repeated + left and codes == [0, 0, 0] and len(rows) == N_EVALS
    if not sound or refused != dict.fromkeys([*strangers, "all"], refused["all"]) or not refused["all"]:
        raise SystemExit("the run must end like its twin, and strangers must be refused, but it is not so")


def await_outcomes(three: Cluster, wanted: int) -> None:
    """Wait until so many evaluations have ended, but not for ever.

    Raises:
        SystemExit: The run does not go on.
    """
    ends_at = time.monotonic() + PATIENCE_S
    while three.head.poll() is None and len(recorded(three.run_dir)) < wanted:
        if time.monotonic() > ends_at:
            raise SystemExit(f"a run must go on after each kill, but has no {wanted} outcomes after {PATIENCE_S} s")
        time.sleep(0.005)


def left_of(folder: Path) -> int:
    """Return how many processes still live that were started in a folder, once they had some seconds to end."""
    for _ in range(100):
        left = [p for p in psutil.process_iter() if _folder_of(p) == str(folder)]
        if not left:
            break
        time.sleep(0.1)
    return len(left)


def _folder_of(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except (psutil.Error, OSError):
        return ""


if __name__ == "__main__":
    main()
