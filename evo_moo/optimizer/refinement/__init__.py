"""Progressive refinement: short evaluations first, and what rises from them."""
