import re

from hypothesis import given
from hypothesis import strategies as st

from evo_moo.text import distinct_names

REFUSED = "[^a-z_]"


@given(st.lists(st.text("ab_+*", max_size=4), unique=True))
def test_distinct_names_stay_distinct_without_refused_characters(names):
    made = distinct_names(names, REFUSED)
    assert list(made) == names and len(set(made.values())) == len(names)
    for name, new in made.items():
        assert new == re.sub(REFUSED, "_", name) or re.fullmatch(r"[a-z_]*_[0-9a-f]{8}", new)


def test_a_name_is_only_changed_where_it_must_be():
    assert distinct_names(["a", "b+c"], REFUSED) == {"a": "a", "b+c": "b_c"}
