import re

from hypothesis import given
from hypothesis import strategies as st

from evo_moo.text import FEWEST, MOST, digits_apart, distinct_names, shown

REFUSED = "[^a-z_]"


@given(st.lists(st.text("ab_+*", max_size=4), unique=True))
def test_distinct_names_stay_distinct_without_refused_characters(names):
    made = distinct_names(names, REFUSED)
    assert list(made) == names and len(set(made.values())) == len(names)
    for name, new in made.items():
        assert new == re.sub(REFUSED, "_", name) or re.fullmatch(r"[a-z_]*_[0-9a-f]{8}", new)


def test_a_name_is_only_changed_where_it_must_be():
    assert distinct_names(["a", "b+c"], REFUSED) == {"a": "a", "b+c": "b_c"}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.none(), max_size=6))
def test_digits_tell_numbers_apart(values):
    digits = digits_apart(values)
    numbers = [value for value in values if isinstance(value, float)]
    assert FEWEST <= digits <= MOST
    for a in numbers:
        for b in numbers:
            assert (shown(a, digits) == shown(b, digits)) == (f"{a:.{MOST}g}" == f"{b:.{MOST}g}")
    assert digits == FEWEST or len({shown(a, digits - 1) for a in numbers}) < len({shown(a, digits) for a in numbers})
