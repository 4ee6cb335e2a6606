"""A run that listens, and processes that work for it: kills of each, strangers, other code, orderly ends."""

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
        assert three.wait() == [0, 0, 0]
        said, key = three.said, (three.keys / "key.pem").read_bytes()
        assert not any(key in file.read_bytes() for file in three.run_dir.iterdir())
    assert "Traceback" not in said and "waits for `evo-moo work`" in said and "is over" in said
    after = recorded(three.run_dir)
    assert {number: after[number] for number in before} == before
    assert ledger_of(three.run_dir) == ledger_of(tmp_path / "alone")
    assert front_of(three.run_dir) == front_of(tmp_path / "alone")
    assert left_of(tmp_path) == 0
