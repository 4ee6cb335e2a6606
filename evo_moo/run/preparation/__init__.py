"""Preparation of a search: its job, what its folder holds, what it takes from earlier runs."""
