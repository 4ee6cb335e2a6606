"""Which GPUs are found, by what a machine says of them."""

import pytest

from evo_moo.evaluation.gpus import chosen_gpus, visible_gpus

SMI = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
  MIG 1g.5gb      Device  0: (UUID: MIG-a0)
  MIG 3g.20gb     Device  1: (UUID: MIG-a1)
GPU 1: NVIDIA H100 (UUID: GPU-bbbb)
GPU 2: NVIDIA H100 (UUID: GPU-cccc)"""
NOTHING = "exit 9"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Let nvidia-smi print a text, and CUDA_VISIBLE_DEVICES be another."""

    def machine(listed: str, visible: str | None):
        program = tmp_path / "nvidia-smi"
        program.write_text("#!/bin/sh\n" + (listed if listed == NOTHING else f"echo '{listed}'"))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:{hash((listed, visible))}")  # the last part: nothing is remembered
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return machine


@pytest.mark.parametrize(
    ("listed", "visible", "tokens", "keys"),
    [
        (SMI, None, ["MIG-a0", "MIG-a1", "GPU-bbbb", "GPU-cccc"], None),
        (SMI, "2,1", ["2", "1"], ["GPU-cccc", "GPU-bbbb"]),
        (SMI, "GPU-c,MIG-a1", ["GPU-c", "MIG-a1"], ["GPU-cccc", "MIG-a1"]),
        (SMI, "1,-1,2", ["1"], ["GPU-bbbb"]),
        (SMI, "7", [], []),
        (SMI, "", [], []),
        (SMI, "NoDevFiles", [], []),  # as some versions of SLURM say
        (NOTHING, "0,MIG-GPU-x/1/0", ["0", "MIG-GPU-x/1/0"], ["gpu-0", "MIG-GPU-x/1/0"]),
    ],
)
def test_visible_gpus_are_what_cuda_would_see(machine, listed, visible, tokens, keys):
    machine(listed, visible)
    assert [gpu.token for gpu in visible_gpus()] == tokens
    assert [gpu.key for gpu in visible_gpus()] == (tokens if keys is None else keys)


def test_chosen_gpus_are_places_or_uuids_of_the_visible(machine):
    machine(SMI, "2,1")
    assert [gpu.key for gpu in chosen_gpus("auto")] == ["GPU-cccc", "GPU-bbbb"]
    assert [gpu.token for gpu in chosen_gpus([1, "GPU-b", "GPU-c"])] == ["1", "2"]
    with pytest.raises(ValueError, match=r"names 2 and 'GPU-a'; there are within CUDA_VISIBLE_DEVICES=2,1: 0 \(GPU-c"):
        chosen_gpus([0, 2, "GPU-a"])


def test_machine_without_gpus_has_none(machine):
    machine(NOTHING, None)
    import torch

    assert len(visible_gpus()) == torch.cuda.device_count()
