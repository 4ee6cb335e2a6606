"""The commands of ``evo-moo device``: a new device from ten measurements."""
