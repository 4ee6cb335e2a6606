"""Evaluations on several hosts: the keys, the run that listens, the workers that join it."""
