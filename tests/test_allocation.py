"""Laws of sharing a capacity: nothing over, nothing idle, nobody envied, no order of names, and no flapping."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.allocation import Claim, allocate, share_out
from pointsman.models.sharing import MOST_SCOPES, Sharing

claims = st.lists(st.builds(Claim, st.integers(0, 30), st.sampled_from((0.5, 1.0, 1.0, 2.0, 3.0, 7.3))), min_size=1, max_size=8)
capacities = st.integers(0, 60)


@given(capacities, claims)
def test_all_that_is_needed_is_given_and_no_more(capacity: int, given_claims: list[Claim]) -> None:
    shares = allocate(capacity, given_claims)
    assert sum(shares) == min(capacity, sum(claim.need for claim in given_claims))
    assert all(0 <= share <= claim.need for share, claim in zip(shares, given_claims, strict=True))
    assert sum(share_out(capacity, given_claims)) == capacity


@given(capacities, claims)
def test_nobody_in_need_goes_without_where_there_is_one_for_each(capacity: int, given_claims: list[Claim]) -> None:
    shares = allocate(capacity, given_claims)
    if capacity >= sum(claim.need > 0 for claim in given_claims):
        assert all(share >= 1 for share, claim in zip(shares, given_claims, strict=True) if claim.need)


@given(capacities, claims)
def test_who_counts_and_needs_at_least_as_much_has_at_least_as_much_but_for_rounding(capacity: int, given_claims: list[Claim]) -> None:
    rows = list(zip(given_claims, allocate(capacity, given_claims), strict=True))
    for one, first in rows:
        for other, second in rows:
            if one.priority >= other.priority and one.need >= other.need:
                assert first >= second - 1


@settings(max_examples=150)
@given(capacities, claims, st.integers(0, 7), st.floats(1.01, 4.0), st.integers(1, 10))
def test_more_priority_or_need_never_gives_less(capacity: int, given_claims: list[Claim], place: int, factor: float, more: int) -> None:
    place %= len(given_claims)
    for share in (allocate, share_out):
        before = share(capacity, given_claims)[place]
        own = given_claims[place]
        for changed in (Claim(own.need, own.priority * factor), Claim(own.need + more, own.priority)):
            assert share(capacity, [*given_claims[:place], changed, *given_claims[place + 1 :]])[place] >= before


@given(capacities, claims)
def test_names_do_not_matter(capacity: int, given_claims: list[Claim]) -> None:
    one, other = Sharing(capacity), Sharing(capacity)
    for place, claim in enumerate(given_claims):
        for sharing, name in ((one, f"a{place}"), (other, f"z{-place}")):
            sharing.priorities[name] = claim.priority
            sharing.note(name, claim.need, 0.0)
    assert list(one.settle(0.0).values()) == list(other.settle(0.0).values())


def test_priority_is_weight() -> None:
    assert allocate(12, [Claim(99, 3.0), Claim(99, 2.0), Claim(99, 1.0)]) == [6, 4, 2]
    assert allocate(12, [Claim(3, 3.0), Claim(99, 2.0), Claim(99, 1.0)]) == [3, 6, 3]


def test_shares_do_not_flap_with_needs_that_wobble() -> None:
    sharing, changes = Sharing(8), 0
    for minute in range(60):
        sharing.note("chat", 3 + minute % 3, 60.0 * minute)
        sharing.note("mail", 9 - minute % 4, 60.0 * minute)
        changes += len(sharing.settle(60.0 * minute))
    assert changes == 4 and sharing.shares == {"chat": 4, "mail": 4}


def test_a_lull_gives_nothing_away_for_five_minutes_and_nothing_moves_before_it_is_needed() -> None:
    sharing = Sharing(8)
    for name, need in (("chat", 8), ("mail", 8)):
        sharing.note(name, need, 0.0)
    assert sharing.settle(0.0) == {"chat": 4, "mail": 4}
    for second in (100.0, 290.0, 310.0):
        sharing.note("chat", 1, second)
    assert sharing.settle(310.0) == {}
    sharing.note("mail", 8, 320.0)
    assert sharing.settle(320.0) == {"chat": 1, "mail": 7}


def test_those_that_shrink_are_told_first() -> None:
    sharing = Sharing(9)
    for name, need in (("a", 9), ("b", 2), ("c", 9)):
        sharing.note(name, need, 0.0)
        told = sharing.settle(0.0)
    before = {"a": 7, "b": 2, "c": 0}
    moves = [(share or 0) - before[name] for name, share in told.items()]
    assert all(first <= second for first, second in pairwise(moves))


def test_more_scopes_than_it_can_remember_are_freed_oldest_first() -> None:
    sharing = Sharing(10)
    for number in range(MOST_SCOPES + 2):
        sharing.note(f"s{number}", 1, float(number))
    told = sharing.settle(300.0)
    assert [scope for scope, share in told.items() if share is None] == ["s0", "s1"]
    assert len(sharing.status(300.0)) == MOST_SCOPES
