"""Says what of a run folder is intact.

Nothing of the run's problem is loaded here: a folder from anywhere can be examined.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from evo_moo.errors import RunFolderError
from evo_moo.job.identity import FREE_SECTIONS
from evo_moo.storage.damage import WHAT_READING_RAISES, SuspectLedger
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.folder_lock import holder_of
from evo_moo.text import in_words, parse_toml


class Finding(NamedTuple):
    """What one look at a folder showed.

    Attributes:
        what: The part looked at.
        sound: Whether it is intact.
        detail: In a few words.
    """

    what: str
    sound: bool
    detail: str = ""


def examine(path: Path) -> list[Finding]:
    """Look at every part of a run folder, and change nothing.

    Raises:
        RunFolderError: There is no such folder, or nothing of a run is in it.
    """
    if not any((path / name).exists() for name in ("run.sqlite", "job.toml")):
        raise RunFolderError(f"`{path}` must be a run folder, but has neither run.sqlite nor job.toml")
    facts = RunFacts(path, {})
    try:
        with contextlib.closing(SuspectLedger(path / "run.sqlite", writable=False)) as ledger, ledger.at_one_moment():
            of_ledger = [_look(what, check) for what, check in ledger.checks().items()]
            with contextlib.suppress(*WHAT_READING_RAISES):
                facts = ledger.facts()
                if facts.state == "finished":
                    of_ledger.append(_look("front.csv", ledger.check_front, path / "front.csv"))
    except RunFolderError as error:
        of_ledger = [Finding("ledger", False, f"cannot be opened: {in_words(error.__cause__ or error)}")]
    return [_look("job.toml", _check_job, path, facts), _environment(path), *of_ledger, _lock(path)]


def _look(what: str, check: Callable[..., str], *arguments: Any) -> Finding:
    try:
        return Finding(what, True, check(*arguments))
    except WHAT_READING_RAISES as error:
        return Finding(what, False, in_words(error))


def _check_job(path: Path, facts: RunFacts) -> str:
    """Check that the job can be read, and is the ledger's; return its problem."""
    if facts.is_confirmation:
        return "not needed by a confirmation"
    if not facts.texts and not (path / "job.toml").exists():
        return "not written yet"
    job = orjson.loads(orjson.dumps(parse_toml((path / "job.toml").read_text(encoding="utf-8"))))
    use, known = str(job["problem"]["use"]), {}
    with contextlib.suppress(*WHAT_READING_RAISES):
        known = dict(facts.job)
    sections = [s for s in {**job, **known} if s not in FREE_SECTIONS and job.get(s) != known.get(s)]
    if known and sections:
        raise ValueError(f"differs from the ledger's job in {', '.join(sections)}; --repair writes it anew")
    return use


def _environment(path: Path) -> Finding:
    """Look at what only informs; a run goes on without it."""
    detail = ""
    try:
        orjson.loads((path / "environment.json").read_bytes())
    except (OSError, ValueError) as error:
        detail = f"cannot be read, which only loses information: {error}"
    return Finding("environment.json", True, detail)


def _lock(path: Path) -> Finding:
    if holder := holder_of(path):
        return Finding("lock", True, f"held by process {holder['pid']} on {holder['host']}")
    return Finding("lock", True, "free; its last holder was killed" if (path / "writer.json").exists() else "free")
