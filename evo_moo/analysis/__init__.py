"""What a run says: result, choice, comparison, importance."""
