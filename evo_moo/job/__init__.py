"""What is asked for: the job file, its sections and its checks."""
