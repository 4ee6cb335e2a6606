"""How one candidate is evaluated: task, worker, pools, profiles, measurement slot."""
