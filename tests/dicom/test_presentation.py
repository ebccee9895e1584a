"""Which presentation contexts are proposed, in which order, in how many associations."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.dicom.presentation import ContextProposal, context_id, plan_contexts

pairs_of_uids = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 200)).map(lambda pair: (f"1.{pair[0]}", f"2.{pair[1]}"))
)


def test_nothing_to_send_needs_no_association() -> None:
    assert plan_contexts([]) == []


def test_each_pair_is_proposed_once_in_the_order_of_its_uids() -> None:
    pairs = [("1.2", "1.9"), ("1.1", "1.9"), ("1.2", "1.8"), ("1.2", "1.9")]
    expected = [[ContextProposal("1.1", "1.9"), ContextProposal("1.2", "1.8"), ContextProposal("1.2", "1.9")]]
    assert plan_contexts(pairs) == expected
    random.Random(7).shuffle(pairs)
    assert plan_contexts(iter(pairs)) == expected


@given(pairs_of_uids)
def test_no_pair_is_lost_and_no_association_is_too_large(pairs: list[tuple[str, str]]) -> None:
    plan = plan_contexts(pairs)
    proposed = [(each.sop_class_uid, each.transfer_syntax_uid) for association in plan for each in association]
    assert sorted(proposed) == sorted(set(pairs))
    assert all(1 <= len(association) <= 128 for association in plan)


def test_a_class_that_fits_one_association_is_not_spread_over_two() -> None:
    pairs = [(f"1.{sop_class}", f"2.{syntax}") for sop_class in range(10, 20) for syntax in range(30)]
    plan = plan_contexts(pairs)
    assert [len(association) for association in plan] == [120, 120, 60]


def test_more_than_128_syntaxes_of_one_class_take_several() -> None:
    assert [len(each) for each in plan_contexts([("1.1", f"2.{syntax}") for syntax in range(300)])] == [128, 128, 44]


def test_context_ids_are_the_odd_numbers_of_a_byte() -> None:
    assert [context_id(index) for index in range(128)] == list(range(1, 256, 2))
    for index in (-1, 128):
        with pytest.raises(ValueError, match="at most 128"):
            context_id(index)
