import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.seeding import evaluation_seed, seed_for

VALUES = st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False), st.booleans(), st.text(), st.none())
CONFIGURATIONS = st.dictionaries(st.text(), VALUES, max_size=5)
BASE = {"run_seed": 1, "configuration": {"lr": 0.1, "act": "relu"}, "replicate": 0}


@given(CONFIGURATIONS, st.integers(0, 2**32 - 1), st.randoms())
def test_the_order_of_keys_does_not_matter(configuration, run_seed, random):
    items = list(configuration.items())
    random.shuffle(items)
    seed = evaluation_seed(run_seed, configuration)
    assert seed == evaluation_seed(run_seed, dict(items))
    assert 0 <= seed < 2**32


@pytest.mark.parametrize(
    "changed",
    [
        {"run_seed": 2},
        {"configuration": {"lr": 0.2, "act": "relu"}},
        {"configuration": {"lr": 0.1, "act": "gelu"}},
        {"configuration": {"lr": 0.1}},
        {"replicate": 1},
    ],
)
def test_seed_depends_on_every_argument(changed):
    assert evaluation_seed(**BASE) != evaluation_seed(**(BASE | changed))


def test_seeds_of_many_replicates_hardly_repeat():
    seeds = {evaluation_seed(1, {"x": 1}, replicate=i) for i in range(2000)}
    assert len(seeds) >= 1999


def test_a_seed_is_the_same_in_every_release():
    assert evaluation_seed(1, {"lr": 0.1, "act": "relu"}) == 2467145835


def test_each_purpose_has_a_seed_of_its_own():
    seeds = {seed_for(purpose, seed) for purpose in ("noise", "pgd") for seed in range(500)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**32 for seed in seeds)
    assert seed_for("noise", 7) == 1189395444  # the same in every release
