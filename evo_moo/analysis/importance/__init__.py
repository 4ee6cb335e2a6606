"""Which variables matter: importances, dependence, local changes."""
