"""A search of a PyTorch script, which is refined by {fidelity} and goes on from {weights}."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from evo_moo.analysis.result import Result
from evo_moo.storage.reading import reading
from tests.integration.running import evo_moo

TORCH = """
import argparse, json, pathlib, torch

parser = argparse.ArgumentParser()
for name, kind in {"lr": float, "width": int, "seed": int, "epochs": int, "state": pathlib.Path}.items():
    parser.add_argument(f"--{name}", type=kind)
parser.add_argument("--momentum", type=float, default=0.0)
a = parser.parse_args()
torch.manual_seed(a.seed)
torch.set_num_threads(1)
X = torch.linspace(-1, 1, 64)[:, None]
y = torch.sin(3 * X)
net = torch.nn.Sequential(torch.nn.Linear(1, a.width), torch.nn.Tanh(), torch.nn.Linear(a.width, 1))
optimizer = torch.optim.SGD(net.parameters(), a.lr, momentum=a.momentum)
first = 0
if (a.state / "state.pt").exists():
    saved = torch.load(a.state / "state.pt", weights_only=True)
    net.load_state_dict(saved["net"])
    optimizer.load_state_dict(saved["optimizer"])
    first = saved["epoch"]
for epoch in range(first, a.epochs):
    for _ in range(10):
        optimizer.zero_grad()
        loss = ((net(X) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
    metrics = {"loss": loss.item(), "n_params": sum(p.numel() for p in net.parameters())}
    print(json.dumps({"epoch": epoch + 1, **metrics}))
torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": a.epochs}, a.state / "state.pt")
print(json.dumps({**metrics, "epochs_here": a.epochs - first}))
"""
TORCH_JOB = """
[problem]
command = ["{python}", "train.py", "--lr={lr}", "--width", "{width}", "--momentum", "{momentum}",
    "--seed", "{seed}", "--epochs", "{fidelity}", "--state", "{weights}"]
fidelity = { epochs = [1, 9] }
metrics.epochs_here = {}
[problem.variables]
lr = { real = [1e-3, 0.3], log = true }
width = { integer = [2, 32] }
momentum = { real = [0, 0.9], when = { width = { at_least = 8 } } }
[objectives]
loss = "min"
n_params = "min"
[search]
pop_size = 4
[budget]
n_evals = 2
[surrogate]
model = "none"
[refinement]
rungs = [1, 9]
eta = 2
[evaluation]
workers = 2
"""


@pytest.mark.slow
def test_training_in_pytorch_is_refined_from_its_weights(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TORCH)
    (tmp_path / "job.toml").write_text(TORCH_JOB)
    evo_moo("run", "job.toml", "--run-dir", "r", cwd=tmp_path)
    result = Result.read(tmp_path / "r")
    ended = [e for e in result.evaluations if e.status in ("ok", "partial")]
    assert len(ended) == len(result.evaluations)
    assert Counter(e.fidelity for e in ended).keys() == {1, 9}
    below = {e.id: e.fidelity for e in ended}
    assert all(e.metrics["epochs_here"] == e.fidelity - below.get(e.continues, 0) for e in ended)
    best = min(result.front, key=lambda e: e.metrics["loss"])
    arguments = [f"--lr={best.configuration['lr']!r}", f"--width={best.configuration['width']}"]
    arguments += [f"--{key}={best.configuration[key]!r}" for key in ("momentum",) if key in best.configuration]
    command = [sys.executable, "train.py", *arguments, f"--seed={best.seed}", "--epochs=9", "--state=."]
    alone = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    assert json.loads(alone[-1])["loss"] == best.metrics["loss"], "as if it had never stopped"
    with reading(tmp_path / "r") as ledger:
        curve = ledger.curves()[best.id]
    assert curve.epochs == list(range(2, 10))
    assert curve.metrics["loss"] == [json.loads(line)["loss"] for line in alone[1:-1]]
