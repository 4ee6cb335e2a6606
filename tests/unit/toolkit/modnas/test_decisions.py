"""One-hots of configurations, their canonical form, and the way back."""

import pytest
import torch

from evo_moo import Boolean, Choice, Integer, Real
from evo_moo.space import SearchSpace
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.samplers import hard, reinmax

VARIABLES = {
    "depth": Integer(1, 3),
    "width_2": Choice([16, 32, 64], when={"depth": {"at_least": 2}}),
    "skip": Boolean(when={"width_2": [32, 64]}),
    "width_3": Integer(4, 8, log=True, when={"depth": 3}),
    "act": Choice(["relu", "gelu"]),
}


def decisions() -> Decisions:
    return Decisions(SearchSpace(VARIABLES))


def draw(logits: torch.Tensor) -> torch.Tensor:
    return reinmax(logits, torch.Generator().manual_seed(1))


def test_columns_are_one_per_option() -> None:
    made = decisions()
    assert made.sizes == [3, 3, 2, 5, 2]
    assert made.n_columns == 15
    assert made.n_combinations == 180


def test_every_configuration_comes_back() -> None:
    made = decisions()
    rows = made.all_rows()
    assert len(rows) == made.space.size() == (1 + 1 * (1 + 2 * 2) * 1 + (1 + 2 * 2) * 5) * 2
    configurations = made.space.decode(rows)
    one_hots = made.encode(configurations)
    assert made.decode(one_hots) == configurations
    assert len(one_hots.unique(dim=0)) == len(rows)
    assert torch.equal(made.canonical(one_hots), one_hots)


def test_a_decision_that_does_not_exist_has_zeros() -> None:
    one_hot = decisions().encode([{"depth": 1, "act": "gelu"}])
    assert one_hot[0].tolist() == [1, 0, 0] + [0] * 10 + [0, 1]


def test_drawn_one_hots_are_canonical() -> None:
    made = decisions()
    drawn = made.sample(torch.zeros(3000, made.n_columns), draw)
    assert torch.equal(drawn, made.encode(made.decode(drawn)))
    assert len(drawn.unique(dim=0)) == made.space.size()


def test_a_gate_lets_a_loss_feel_what_switches_it() -> None:
    made = decisions()
    logits = torch.zeros(2000, made.n_columns, requires_grad=True)
    made.sample(logits, draw)[:, 11:13].sum().backward()  # the largest options of width_3, which needs depth 3
    assert logits.grad is not None
    by_depth = logits.grad[:, :3].sum(dim=0)
    assert by_depth[2] > 0
    assert (by_depth[:2] < 0).all()


def test_options_keep_to_their_decision() -> None:
    made = decisions()
    logits = torch.full((300, made.n_columns), 0.0)
    logits[:, 2], logits[:, 9] = 50.0, 50.0  # depth 3, width_3 of 5
    drawn = made.decode(made.sample(logits, lambda padded: hard(padded, torch.Generator().manual_seed(0))))
    assert {(config["depth"], config["width_3"]) for config in drawn} == {(3, 5)}


def test_rows_take_the_best_option_of_soft_scores() -> None:
    made = decisions()
    scores = torch.rand(20, made.n_columns, generator=torch.Generator().manual_seed(0))
    for config, row in zip(made.decode(scores), scores, strict=True):
        assert config["depth"] == 1 + int(row[:3].argmax())
        assert config["act"] == ["relu", "gelu"][int(row[-2:].argmax())]


def test_real_variables_are_no_decisions() -> None:
    with pytest.raises(ValueError, match=r"finitely many values, but `lr` are real; declare a Choice"):
        Decisions(SearchSpace({"lr": Real(1e-4, 1.0, log=True), "n": Integer(1, 3)}))


def test_forbidden_configurations_are_not_listed() -> None:
    space = SearchSpace(
        {"a": Integer(1, 3), "b": Boolean()}, {"no pair": lambda config: config["a"] == 2 and config["b"]}
    )
    assert len(Decisions(space).all_rows()) == 5


def test_spaces_too_large_are_not_listed() -> None:
    with pytest.raises(ValueError, match=r"at most 1,000,000 combinations, but has 10,000,000,000"):
        Decisions(SearchSpace({f"x{i}": Integer(1, 10) for i in range(10)})).all_rows()
