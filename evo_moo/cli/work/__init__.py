"""The command that lends a host's processors to a run."""
