"""What is learnt of a space before the search, where the problem does not declare it."""
