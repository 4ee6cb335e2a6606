"""Commands and terminal tables."""
