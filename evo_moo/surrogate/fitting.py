"""Which models there are to choose from."""

FAMILIES = ("gp", "rf")


AVERAGE = "average"


NONE = "none"


COMPUTED = "computed"


GOOD_ENOUGH = 0.7
"""A rank correlation from which on no other model is tried, no other shape of the targets, and no value is far out."""


GROWTH = 1.25
"""The choice of the model is looked at again whenever there are so many times more evaluations."""
