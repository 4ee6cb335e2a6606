import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy, kl_div  # noqa: E402

from evo_moo.errors import ProblemError  # noqa: E402
from evo_moo.space import Choice, Integer, Real  # noqa: E402
from evo_moo.toolkit.compression.distillation import DISTILLATION, Distillation, checked_teachers  # noqa: E402
from evo_moo.toolkit.training import set_determinism, train_classifier  # noqa: E402

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(64, 5, generator=DRAW), torch.randint(3, (64,), generator=DRAW)
VARIABLES = {"width": Integer(4, 32), "act": Choice(["relu", "tanh"]), "lr": Real(1e-3, 1e-1, log=True)}


def teacher(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.5))


def test_loss_is_that_of_the_paper():
    logits = torch.randn(64, 3, requires_grad=True)
    by_labels = cross_entropy(logits, Y)
    loss = Distillation([teacher(0)], weight=0.7, temperature=3.0)(by_labels, logits, X)
    expected = teacher(0).eval()(X).detach()
    divergence = kl_div((logits / 3).log_softmax(1), (expected / 3).softmax(1), reduction="batchmean")
    mine, theirs = (torch.autograd.grad(each, logits, retain_graph=True)[0] for each in (
        loss, 0.3 * by_labels + 0.7 * 9 * divergence
    ))  # fmt: skip
    assert torch.allclose(mine, theirs, atol=1e-6)


def test_the_probabilities_of_an_ensemble_are_averaged():
    logits, none = torch.zeros(64, 3), torch.zeros(())
    loss = Distillation([teacher(0), teacher(1)], 1.0, 1.0)(none, torch.randn(64, 3), X)
    assert loss != Distillation([teacher(0)], 1.0, 1.0)(none, logits, X)
    mean = (teacher(0).eval()(X).softmax(1) + teacher(1).eval()(X).softmax(1)) / 2
    other = torch.randn(64, 3)
    assert torch.allclose(Distillation([teacher(0), teacher(1)], 1.0, 1.0)(none, other, X), cross_entropy(other, mean))


def test_a_network_learns_what_its_teacher_expects():
    strict = teacher(3).eval()
    kept = {name: tensor.clone() for name, tensor in strict.state_dict().items()}
    agreement = {}
    for weight in (0.0, 1.0):
        set_determinism(0)
        student = nn.Linear(5, 3)
        settings = {"epochs": 30, "batch_size": 16, "lr": 0.05, "distil": Distillation([strict], weight, 2.0)}
        train_classifier(student, (X, Y), (X, Y), seed=0, **settings)
        agreement[weight] = (student(X).argmax(1) == strict(X).argmax(1)).float().mean()
    assert agreement[1.0] > 0.95 > agreement[0.0]
    assert all(torch.equal(tensor, kept[name]) for name, tensor in strict.state_dict().items())


def test_a_teacher_of_no_weight_changes_nothing():
    weights = []
    for distil in (None, Distillation([teacher(0)], 0.0, 2.0)):
        set_determinism(0)
        student = nn.Linear(5, 3)
        train_classifier(student, (X, Y), (X, Y), epochs=2, batch_size=16, lr=0.05, seed=0, distil=distil)
        weights.append(student.weight)
    assert torch.equal(*weights)


def test_variables_are_read_where_there_are_teachers():
    config = {"teacher_weight": 0.5, "temperature": 2.0}
    assert config.keys() == DISTILLATION.keys()
    assert Distillation.of([], {}) is None
    assert (made := Distillation.of([nn.Identity()], config)) and (made.weight, made.temperature) == (0.5, 2.0)


def test_teachers_are_configurations_of_the_problem():
    right = {"lr": 0.01, "act": "relu", "width": 8}
    assert checked_teachers([right, right], VARIABLES) == [right, right] and checked_teachers([], VARIABLES) == []
    with pytest.raises(ProblemError) as error:
        checked_teachers([right, right | {"act": "gelu"}, {"width": 8}], VARIABLES)
    assert "number 2" in str(error.value) and "number 3" in str(error.value)
