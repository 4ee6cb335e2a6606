"""Surrogate models behind one protocol."""
