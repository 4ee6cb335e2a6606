"""What problems use: training, latency, robustness, data."""
