import math

import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from evo_moo.threads import one_thread  # noqa: E402
from evo_moo.toolkit.robustness import PERTURBATIONS, Robustness  # noqa: E402

IMAGES = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 2


@pytest.fixture(autouse=True, scope="module")
def single_thread():
    with one_thread():
        yield


def linear_model(weights, bias=0.0):
    """Two classes; class 1 where ``weights @ x + bias`` is above 0."""
    layer = nn.Linear(len(weights), 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.zeros(len(weights)), weights]))
        layer.bias.copy_(torch.tensor([0.0, bias]))
    return layer


def rows(n, n_columns, seed):
    draw = torch.Generator().manual_seed(seed)
    X = torch.randn(n, n_columns, generator=draw)
    weights = torch.randn(n_columns, generator=draw)
    return X, (X @ weights + 0.5 * torch.randn(n, generator=draw) > 0).long(), weights


@settings(max_examples=20)
@given(seed=st.integers(0, 999), epsilon=st.floats(0.01, 1.0), n_columns=st.integers(1, 6))
def test_attacks_on_a_linear_model_take_what_theory_says(seed, epsilon, n_columns):
    X, y, weights = rows(60, n_columns, seed)
    margin = (2 * y - 1) * (X @ weights)
    # Goodfellow et al. 2015, section 5: the worst change of a linear model lowers each margin by epsilon |w|_1.
    expected = (margin - epsilon * weights.abs().sum() > 0).double().mean().item()
    found = Robustness(["fgsm", "pgd"], epsilon=epsilon, bounds=None)(linear_model(weights), X, y, seed=seed)
    close = pytest.approx(expected, abs=1.01 / 60)  # a margin within rounding of the limit may fall on either side
    assert found["accuracy_fgsm"] == close and found["accuracy_pgd"] == close


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbed_inputs_keep_bounds_and_depend_on_the_seed(name):
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    strong = Robustness([name], epsilon=0.3, noise=1.0, brightness=0.6, dropout=0.4, blur=2.0)
    a, b = (strong.perturb(name, model, IMAGES, LABELS, 1) for _ in range(2))
    assert torch.equal(a, b) and a.shape == IMAGES.shape and not a.requires_grad
    assert a.min() >= 0 and a.max() <= 1 and not torch.equal(a, IMAGES)
    if name in ("noise", "brightness", "dropout"):
        assert not torch.equal(a, strong.perturb(name, model, IMAGES, LABELS, 2))


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_attacks_change_no_value_by_more_than_epsilon(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 2))
    attacked = Robustness([name], epsilon=0.05).perturb(name, model, IMAGES, LABELS, 3)
    change = (attacked - IMAGES).abs()
    assert change.max() <= 0.05 + 1e-6
    loss = nn.functional.cross_entropy
    assert loss(model(attacked), LABELS) > loss(model(IMAGES), LABELS)
    if name == "fgsm":  # every value that the bounds leave free moves by all of epsilon
        free = (IMAGES > 0.05) & (IMAGES < 0.95)
        assert torch.allclose(change[free], torch.tensor(0.05), atol=1e-6)


def test_attack_leaves_weights_gradients_and_mode_unchanged():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Robustness(["fgsm", "pgd"])(model, IMAGES, LABELS, seed=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model[1].training and all(parameter.grad is None for parameter in model.parameters())


def test_noise_brightness_and_dropout_are_as_strong_as_told():
    grey = torch.full((50, 3, 16, 16), 0.5)
    weak = Robustness(noise=0.05, brightness=0.2, dropout=0.25)
    noise = weak.perturb("noise", None, grey, None, 0) - grey
    assert noise.std().item() == pytest.approx(0.05, rel=0.02) and abs(noise.mean().item()) < 1e-3
    light = weak.perturb("brightness", None, grey, None, 0) - grey
    per_image = light.flatten(1)
    assert torch.allclose(light.abs(), torch.tensor(0.2)) and torch.all(per_image == per_image[:, :1])
    assert 0.2 < (per_image[:, 0] > 0).double().mean() < 0.8
    dead = weak.perturb("dropout", None, grey, None, 0) == 0
    assert torch.equal(dead.any(1), dead.all(1))  # a pixel dies in all its channels
    assert dead.double().mean().item() == pytest.approx(0.25, abs=0.02)


def test_a_blur_is_that_of_torchvision():
    from evo_moo.toolkit.vision import torchvision

    torchvision()
    from torchvision.transforms.functional import gaussian_blur

    image = torch.zeros(1, 1, 21, 21)
    image[0, 0, 10, 10] = 1.0
    blurred = Robustness(["blur"], blur=1.5).perturb("blur", None, image, None, 0)
    assert torch.allclose(blurred, gaussian_blur(image, [13, 13], [1.5, 1.5]), atol=1e-6)


def test_noise_is_not_what_the_same_seed_drew_before():
    X = torch.randn(100, 8, generator=torch.Generator().manual_seed(5))
    noise = Robustness(["noise"], bounds=None).perturb("noise", None, X, None, 5) - X
    assert abs(torch.corrcoef(torch.stack([X.flatten(), noise.flatten()]))[0, 1]) < 0.2


def test_rows_of_a_table_lose_columns_to_their_mean():
    X, _, weights = rows(200, 5, 0)
    y = (X @ weights > 0).long()
    robust = Robustness(["noise", "dropout", "fgsm"], dropout=0.5, noise=0.5, epsilon=0.2, bounds=None)
    dropped = robust.perturb("dropout", linear_model(weights), X, y, 0) == 0
    assert dropped.double().mean().item() == pytest.approx(0.5, abs=0.06)
    assert not torch.equal(dropped.any(1), dropped.all(1))
    found = robust(linear_model(weights), X, y, seed=0)
    assert all(0.5 < value < 1 for value in found.values())


def test_metrics_are_as_declared_and_the_worst_is_the_lowest():
    robust = Robustness(n_samples=20)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    found = robust(model, IMAGES, LABELS, seed=0)
    assert list(found) == list(robust.metrics) == [f"accuracy_{name}" for name in (*PERTURBATIONS, "worst")]
    assert found["accuracy_worst"] == min(value for name, value in found.items() if name != "accuracy_worst")
    assert all(math.isclose(value * 20, round(value * 20), abs_tol=1e-6) for value in found.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"perturbations": ["fog"]}, "`perturbations` must be a list of some of noise, blur, .*but is \\['fog'\\]"),
        ({"perturbations": "noise"}, "`perturbations` must be a list"),
        ({"perturbations": []}, "`perturbations` must be a list"),
        ({"epsilon": 0}, "`epsilon` must be above 0, but is 0; leave the perturbation out"),
        ({"dropout": 1.0}, "`dropout` must lie between 0 and 1, but is 1.0"),
        ({"pgd_steps": 0}, "`pgd_steps` must be at least 1, but is 0"),
    ],
)
def test_senseless_perturbations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Robustness(**options)


@pytest.mark.parametrize("name", ["blur", "brightness"])
def test_a_table_has_no_light(name):
    X, y, weights = rows(5, 3, 0)
    with pytest.raises(ValueError, match=f"`{name}` must be asked of images .* shape \\(5, 3\\); leave it out"):
        Robustness([name])(linear_model(weights), X, y, seed=0)
