"""Ready problems, each with its job file; resolved by name through ``evo_moo.plugins``."""
