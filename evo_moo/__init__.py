"""Multi-objective search of neural architectures and training hyperparameters."""
