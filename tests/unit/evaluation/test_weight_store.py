import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from evo_moo.errors import StateError
from evo_moo.evaluation.weight_store import WeightStore
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.problem.weights import FILE, Weights
from evo_moo.space.variables import Boolean


def saved(store: WeightStore, key: int, size: int = 1) -> None:
    Weights(own=store.folder(key)).save({"w": torch.zeros(size * 1000, dtype=torch.uint8)})


def there(store: WeightStore) -> set[int]:
    return {int(path.name) for path in store.root.glob("*")}


def test_saved_weights_are_loaded(tmp_path: Path) -> None:
    state = {"model": {"w": torch.tensor([0.1, torch.inf])}, "epochs": 3, "notes": ["a", None, 1.5]}
    Weights(own=tmp_path / "1").save(state)
    loaded = Weights(previous=tmp_path / "1").load()
    assert loaded is not None and torch.equal(loaded.pop("model")["w"], state.pop("model")["w"])
    assert loaded == state
    assert [path.name for path in (tmp_path / "1").iterdir()] == [FILE]


def test_store_without_a_folder_saves_and_loads_nothing() -> None:
    weights = Weights()
    weights.save({"w": 1})
    assert weights.load() is None
    assert Weights(previous="no/such/folder").load() is None


def test_a_state_comes_back_with_its_types(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3).t()
    state = {1: (0.9, [True, None, float("inf")]), "tied": [shared, shared], "step": torch.tensor(3, dtype=torch.int64)}
    Weights(own=tmp_path).save(state)
    loaded = Weights(previous=tmp_path).load()
    assert loaded is not None and loaded[1] == state[1] and list(loaded) == list(state)
    assert all(torch.equal(tensor, shared) for tensor in loaded["tied"])
    assert loaded["step"].shape == () and loaded["step"].dtype == torch.int64


def test_a_state_of_other_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        StateError, match="must hold tensors, numbers, texts, lists, tuples and dicts, but holds a Posix"
    ):
        Weights(own=tmp_path).save({"where": tmp_path})
    assert list(tmp_path.iterdir()) == []


def harm(marker: Path) -> bytes:
    class Harm:
        def __reduce__(self):
            return (Path.touch, (marker,))

    return pickle.dumps({"w": Harm()})


@pytest.mark.parametrize(
    "state",
    ["null", "3", '{"dict": 3}', '{"dict": [["a", {"tensor": "9"}]]}', '{"a": 1}', "[" * 100_000, '{"tuple": [{}]}'],
)
def test_a_hostile_state_is_one_clear_error(tmp_path: Path, state: str) -> None:
    (tmp_path / FILE).write_bytes(save({"0": torch.zeros(2)}, {"state": state}))
    with pytest.raises(StateError, match="must be what a training saved, but is damaged"):
        Weights(previous=tmp_path).load()


def test_code_in_a_saved_state_never_runs(tmp_path: Path) -> None:
    bomb = harm(tmp_path / "harm")
    for content in (bomb, len(bomb).to_bytes(8, "little") + bomb, b"", b"\xff" * 100):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(StateError, match="is damaged"):
            Weights(previous=tmp_path).load()
    assert not (tmp_path / "harm").exists()


def test_prune_removes_only_weights_that_nobody_needs(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "weights", 1)
    assert store.prune([], [], 9) == []
    for key in range(1, 8):
        saved(store, key)
    assert store.prune([1], [3, 4], 5) == []
    assert there(store) == {1, 3, 4, 6, 7}


def test_over_its_size_the_least_likely_go_first(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "weights", 0.03)
    for key in range(1, 7):
        saved(store, key, 8)
    assert store.prune([1], [4, 2, 6, 3, 5], 6) == [6, 3, 5]
    assert there(store) == {1, 4, 2}
    assert WeightStore(store.root, 0).prune([1], [4, 2], 6) == [4, 2]
    assert there(store) == {1}


def test_a_problem_gets_the_weights_that_it_names() -> None:
    class Asks(SearchProblem):
        variables = {"a": Boolean()}
        objectives = {"f": "min"}

        def evaluate(self, config, weights):
            return {"f": float(weights.own is None)}

    assert Asks().call_evaluate({"a": True}, seed=1).metrics == {"f": 1.0}
    assert Asks().call_evaluate({"a": True}, seed=1, weights=Weights(own="x")).metrics == {"f": 0.0}
    assert Asks().continues
