import torch
from torch import nn

from evo_moo.toolkit.devices.work import KINDS, work_of


def test_work_is_counted_by_kind():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(4 * 64, 5),
    )
    work = work_of(model, torch.ones(3, 2, 8, 8))
    assert list(work) == list(KINDS)
    assert work["flops_dense"] == 2 * 3 * 64 * 4 * 2 * 9
    assert work["flops_grouped"] == 2 * 3 * 64 * 4 * 9
    assert work["flops_matrix"] == 2 * 3 * 256 * 5
    assert work["functions"] == 3 * 4 * 64
    assert work["calls"] == 4  # a view is none
    assert work["bytes"] > 4 * (3 * 2 * 64 + 3 * 4 * 64 * 3)


def test_several_inputs_and_training_flags_are_kept():
    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

    model = Sum().train()
    assert work_of(model, (torch.ones(2, 3), torch.ones(2, 3)))["calls"] == 1
    assert model.training
