"""Statistical tests and intervals of samples."""
