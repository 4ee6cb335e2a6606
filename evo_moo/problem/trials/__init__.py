"""Define-by-run objectives, as Optuna has them: a function that asks a trial for each value while it runs."""
