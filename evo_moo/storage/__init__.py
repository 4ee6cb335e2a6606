"""What is kept of a run: the ledger, its folder, its lock, its log.

The contract of a ledger:

- Ownership. One process writes to a run folder, the one that holds its ``FolderLock``; a second one is refused, naming
  the first. Any number of readers open it meanwhile; they write nothing, not even beside it, and never hold up the
  writer for longer than SQLite's own lock on a network disk.
- Consistency. Everything that belongs together commits in one ``Ledger.transaction``: the outcomes, the decisions that
  they led to, the generation and the checkpoint after them. A reader sees all of it or nothing. An evaluation is asked
  before it ends, its row is never removed, and what has ended changes no more.
- Durability. A kill loses what was not committed, and no more. A power failure loses no more where a commit waits for
  the disk: on a network disk each, else each by which a second of evaluating, or of time, would be lost (``WORTH_S``).
  Of what takes less it may take the last, never the order. Before an outcome the weights are on the disk that a longer
  training goes on from, and they are removed after it; files and folders are synced with their names. Whatever the
  checkpoint does not know is asked again from it, and answered by the outcomes that the ledger has.
- Form. SQLite, JSON and little-endian float64: opening a ledger runs no code. The tables are those of
  ``migrations.SCHEMA``; SQL stands in this room alone, and others call the methods of ``Queries`` and ``Ledger``.
- Faults. A row that is not as it was written is found by its checksum (``checksums``), by the doctor. What cannot be
  written or is damaged raises ``RunFolderError`` with a way out; ``guarded_reads`` sees to it where rows are parsed.
"""
