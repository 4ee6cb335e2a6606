import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.conditioned.networks import CONDITIONINGS, ConditionedCNN, ConditionedMLP, UnderPreference  # noqa: E402

RAYS = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])


def n_params(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_numbers_of_parameters_are_those_published():
    assert n_params(ConditionedMLP(88, 2)) == 7011
    assert n_params(ConditionedMLP(88, 2, conditioning="none")) == 6891
    assert n_params(ConditionedMLP(20, 2)) == 2931
    assert n_params(ConditionedCNN(conditioning="none")) == 42350
    assert n_params(ConditionedCNN(conditioning="tconv")) == 43058


def test_the_mlp_is_one_of_rows_and_preference_together():
    torch.manual_seed(0)
    network, X = ConditionedMLP(4, 2, (6, 5, 3)), torch.randn(7, 4)
    for ray, logits in zip(RAYS, network.along(X, RAYS), strict=True):
        joined = torch.cat([X, ray.expand(7, 2)], dim=1)
        torch.testing.assert_close(logits, network.rest(network.first(joined))[:, 0])
        torch.testing.assert_close(logits, network(X, ray))


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_images_are_answered_under_each_preference(conditioning):
    torch.manual_seed(0)
    network = ConditionedCNN(12, 2, (3, 4), 5, kernel=3, padding=1, conditioning=conditioning)
    X = torch.rand(6, 1, 12, 12)
    outputs = network.along(X, RAYS)
    assert outputs.shape == (3, 6, 2, 10)
    torch.testing.assert_close(UnderPreference(network, RAYS[1])(X), outputs[1])
    assert torch.equal(outputs[0], outputs[2]) == (conditioning == "none")


@pytest.mark.parametrize("conditioning", ["film", "planes", "tconv"])
def test_conditioning_learns_from_each_batch(conditioning):
    network = ConditionedCNN(36, 2, conditioning=conditioning)
    network(torch.rand(2, 1, 36, 36), RAYS[0]).sum().backward()
    first = network.hidden[0].weight.grad
    assert first.abs().sum() > 0
    if conditioning != "planes":
        part = network.film if conditioning == "film" else network.maps
        assert all(parameter.grad is not None for parameter in part.parameters())


@pytest.mark.parametrize("network", [ConditionedMLP(4, 2, (3,)), ConditionedCNN(12, 3, (2, 3), 4, 3, 1)])
def test_settings_build_the_same_network_again(network):
    again = type(network)(**network.settings)
    again.load_state_dict(network.state_dict())
    assert again.settings == network.settings


def test_unknown_conditionings_are_refused():
    with pytest.raises(ValueError, match="`conditioning` must be one of concat, none, but is 'film'"):
        ConditionedMLP(4, 2, conditioning="film")
    with pytest.raises(ValueError, match="`conditioning` must be one of film, tconv, planes, none, but is 'concat'"):
        ConditionedCNN(conditioning="concat")
