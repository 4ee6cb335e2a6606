"""Kinds of variables that take several columns of the matrix: subsets, orderings, shares that sum to one."""
