"""Smaller and faster models from one trained network: pruning, precisions, and what each costs."""
