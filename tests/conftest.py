import pytest


@pytest.fixture(autouse=True)
def own_measurement_slot(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no measurement of another process on this host hold up a test."""
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path_factory.getbasetemp() / "slot"))
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
