"""A run that listens, and processes that work for it: kills of each, strangers, other code, orderly ends."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.bench_cluster_kills import await_outcomes, left_of
from tests.benchmarks.bench_kills import job, recorded
from tests.integration.cluster import VICTIMS, cluster
from tests.integration.running import evo_moo, front_of, ledger_of

pytestmark = pytest.mark.slow

pytest.importorskip("cryptography")
pytest.importorskip("distributed")
N_EVALS = 48


def test_a_listening_run_outlives_a_kill_of_each_of_three(tmp_path: Path) -> None:
    path = job(tmp_path, n_evals=N_EVALS)
    evo_moo("run", path, "--run-dir", tmp_path / "alone", cwd=tmp_path)
    with cluster(tmp_path, path) as three:
        for number, victim in enumerate(VICTIMS):
            await_outcomes(three, 12 * number + 1)
            if victim == "head":
                assert three.refused() == {
                    "plain": True,
                    "without a key": True,
                    "other keys": True,
                    "one of them": False,
                }
                held = evo_moo("resume", three.run_dir, cwd=tmp_path, code=1).stderr
                assert f"; `evo-moo work {three.run_dir}` works for it; wait for it or stop it" in held
            before = recorded(three.run_dir)
            three.kill(victim)
        await_outcomes(three, N_EVALS - 12)
        three.workers[0].terminate()
        assert three.wait() == [0, 75, 0]
        said, key = three.said, (three.keys / "key.pem").read_bytes()
        assert not any(key in file.read_bytes() for file in three.run_dir.iterdir())
    assert "Traceback" not in said and "waits for `evo-moo work`" in said and "is over" in said
    after = recorded(three.run_dir)
    assert {number: after[number] for number in before} == before
    assert ledger_of(three.run_dir) == ledger_of(tmp_path / "alone")
    assert front_of(three.run_dir) == front_of(tmp_path / "alone")
    assert left_of(tmp_path) == 0
    assert "is over" in evo_moo("work", three.run_dir, "--keys", three.keys, cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "`evo-moo work` must name a run, by its folder or its address"),
        (["r", "--new-keys", "k"], "`--new-keys` must stand alone, but `r` is given too"),
        (["tcp://10.0.0.1:8786"], "`--keys` must be given for a run on another host, as 'tcp://10.0.0.1:8786' may be"),
        (["tcp://127.0.0.1"], "`ADDRESS` must have a port, as in tcp://head:8786, but is 'tcp://127.0.0.1'"),
        (["ftp://host:1"], "`ADDRESS` must be an address"),
        (["far"], "`far` listens at tcp://127.0.0.1:8786 of another; start it with --listen tcp://0.0.0.0:8786"),
        (["near"], "`--keys` must be given for a run that listens with keys"),
    ],
    ids=("nothing", "two things", "no keys", "no port", "no address", "out of reach", "keys wanted"),
)
def test_work_that_cannot_be_done_is_refused(tmp_path: Path, arguments: list[str], fault: str) -> None:
    for name, host, address in (("far", "elsewhere", "tcp://127.0.0.1:8786"), ("near", "else", "tls://10.0.0.1:1")):
        (tmp_path / name).mkdir()
        record = {"pid": 1, "host": host, "process_started": 0, "address": address, "token": "t"}
        (tmp_path / name / "writer.json").write_text(json.dumps(record))
    assert fault in evo_moo("work", *arguments, cwd=tmp_path, code=2).stderr
