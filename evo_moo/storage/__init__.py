"""What is kept: ledger, run folder, lock, log, checkpoint."""
