"""The commands that say who answers for a run, and what differs between two: audit and diff."""
