"""Ask and tell: algorithms, candidates, models in the loop, refinement, replication."""
