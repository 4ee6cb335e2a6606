import json
from pathlib import Path

import numpy as np
import pytest

from evo_moo.deployment.card import Input, ModelCard, Promise, Search, Training
from evo_moo.deployment.card_pages import write_pages
from evo_moo.deployment.model_folder import CARD, EXAMPLES, MANIFEST, ModelFolder, write_manifest
from evo_moo.errors import ModelFolderError

HOSTILE = "<script>alert(1)</script> [x](javascript:1) | `rm`"


def card(**changes) -> ModelCard:
    promise = Promise(value=0.9, low=0.88, high=0.92, direction="max", of=HOSTILE)
    fields = {
        "name": HOSTILE,
        "built_at": "2026-11-30 12:00 UTC",
        "evo_moo": "1",
        "configuration": {"lr": 0.1, HOSTILE: HOSTILE},
        "input": Input(shape=(3,), dtype="float32"),
        "outputs": "logits",
        "promises": {"accuracy": promise},
        "serving": {"onnxruntime": {"latency_ms": promise}},
        "tolerance": 1e-3,
        "search": Search(run="r", problem=HOSTILE, n_evaluations=3, objectives={"accuracy": "max"}),
        "training": Training(seed=1, data={"data": HOSTILE}),
        "machine": {"processor": HOSTILE},
        "reproduce": "evo-moo build r --id 1 --out model",
    }
    return ModelCard(**(fields | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / CARD).write_text(card().model_dump_json())
    np.savez(path / EXAMPLES, inputs=np.ones((2, 3)), outputs=np.ones((2, 2)))
    (path / "weights.safetensors").write_bytes(b"weights of the model")
    write_pages(card(), path)
    write_manifest(path)
    return path


def test_a_whole_folder_is_read_back(folder: Path) -> None:
    read = ModelFolder.read(folder)
    assert read.card == card()
    assert [array.shape for array in read.examples()] == [(2, 3), (2, 2)]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def edit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)


def link(file: Path) -> None:
    other = file.parent.parent / "other"
    file.rename(other)
    file.symlink_to(other)


@pytest.mark.parametrize(
    ("change", "words"),
    [(cut, "bytes, but has"), (edit, "content has changed"), (Path.unlink, "is missing"), (link, "is a link")],
    ids=["truncated", "edited", "missing", "linked"],
)
def test_a_changed_file_is_named(folder: Path, change, words: str) -> None:
    change(folder / "weights.safetensors")
    with pytest.raises(ModelFolderError, match=f"weights.safetensors`.*{words}"):
        ModelFolder.read(folder)


def test_swapped_and_foreign_files_are_named_at_once(folder: Path) -> None:
    one, other = folder / EXAMPLES, folder / "card.md"
    one.rename(folder / "x"), other.rename(one), (folder / "x").rename(other)
    (folder / "run.py").write_text("print('no')")
    with pytest.raises(ModelFolderError) as caught:
        ModelFolder.read(folder)
    assert all(name in str(caught.value) for name in (EXAMPLES, "card.md", "run.py"))


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", '{"files": {}}', '{"files": {"card.json": {}}}', "[" * 100_000, '{"files": {"card.json": [1, 2]}}'],
)
def test_a_damaged_manifest_is_one_message(folder: Path, manifest: str) -> None:
    (folder / MANIFEST).write_text(manifest)
    with pytest.raises(ModelFolderError, match="must be the folder of a model"):
        ModelFolder.read(folder)


def test_a_manifest_names_no_file_elsewhere(folder: Path) -> None:
    table = json.loads((folder / MANIFEST).read_text())
    table["files"]["../secret"] = {"size": 1, "sha256": "0"}
    (folder / MANIFEST).write_text(json.dumps(table))
    with pytest.raises(ModelFolderError, match=r"files elsewhere: '\.\./secret'"):
        ModelFolder.read(folder)


def test_a_wrong_card_lists_all_its_faults(folder: Path) -> None:
    data = json.loads(card().model_dump_json())
    data["tolerance"], data["more"] = "much", 1
    (folder / CARD).write_text(json.dumps(data))
    write_manifest(folder)
    with pytest.raises(ModelFolderError) as caught:
        ModelFolder.read(folder)
    assert all(name in str(caught.value) for name in ("tolerance", "more"))


def test_pickles_in_examples_are_refused(folder: Path) -> None:
    np.savez(folder / EXAMPLES, inputs=np.array([object()]), outputs=np.ones(1))
    write_manifest(folder)
    with pytest.raises(ModelFolderError, match="plain arrays"):
        ModelFolder.read(folder).examples()


def test_pages_show_hostile_texts_as_texts(folder: Path) -> None:
    page, text = (folder / "card.html").read_text(), (folder / "card.md").read_text()
    assert "<script" not in page and "alert(1)" in page
    assert "<script" not in text and "[x](" not in text and "\\`rm\\`" in text
