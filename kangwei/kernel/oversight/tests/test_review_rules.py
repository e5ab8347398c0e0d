"""The rules of the yearly account review (用户年审), on days one can check by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Decision, Facts, Finding, Powers, Reminder, State

DUE = date(2026, 3, 31)
NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
CLEAN = Facts(
    created_at=datetime(2024, 1, 1, tzinfo=UTC),
    last_sign_in_at=NOON - timedelta(days=1),
    has_staff=True,
    staff_left=False,
    expired_qualifications=(),
    scope_within_subtree=True,
    shares_phone=False,
    privileged=False,
)
days = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 2, 28), State.NORMAL),  # 31 days before
        (date(2026, 3, 1), State.DUE),  # 30 days before
        (date(2026, 3, 31), State.DUE),  # the day itself
        (date(2026, 4, 1), State.OVERDUE),  # a day late
        (date(2026, 4, 29), State.OVERDUE),
    ],
)
def test_an_undecided_account_is_due_thirty_days_before_and_overdue_the_day_after(
    today: date, expected: State
) -> None:
    assert review.state(due=DUE, today=today) is expected


def test_suspension_comes_on_the_thirtieth_day_after_the_due_date_not_a_day_earlier() -> None:
    assert not review.must_suspend(due=DUE, today=date(2026, 4, 29))
    assert review.must_suspend(due=DUE, today=date(2026, 4, 30))


def test_a_decision_outweighs_suspension_and_lateness() -> None:
    late = date(2026, 6, 1)
    assert review.state(due=DUE, today=late, decision=Decision.KEEP, suspended=True) is (
        State.CONFIRMED
    )
    assert review.state(due=DUE, today=late, decision=Decision.DISABLE) is State.DISABLED
    assert review.state(due=DUE, today=late, suspended=True) is State.SUSPENDED


def test_a_year_after_29_february_is_28_february() -> None:
    assert review.year_after(date(2024, 2, 29)) == date(2025, 2, 28)
    assert review.year_after(date(2025, 2, 28)) == date(2026, 2, 28)


def test_the_due_date_follows_the_last_confirmation_else_the_creation() -> None:
    born = date(2023, 5, 6)
    assert review.natural_due_on(created_on=born, confirmed_on=None) == date(2024, 5, 6)
    assert review.natural_due_on(created_on=born, confirmed_on=date(2025, 3, 2)) == date(2026, 3, 2)


def test_a_campaign_calls_earlier_never_later_and_leaves_thirty_days() -> None:
    opens, ends = date(2026, 3, 1), date(2026, 6, 30)
    call = {"opens_on": opens, "campaign_due_on": ends}
    assert review.due_on(natural=date(2027, 1, 1), **call) == ends
    assert review.due_on(natural=date(2026, 5, 1), **call) == date(2026, 5, 1)
    # Long past its date when called up: thirty days from now, not suspended at once.
    assert review.due_on(natural=date(2024, 1, 1), **call) == date(2026, 3, 31)


@given(natural=days, opens=days, length=st.integers(30, 400))
def test_nobody_gets_less_than_the_notice_or_more_than_the_campaign(
    natural: date, opens: date, length: int
) -> None:
    ends = opens + timedelta(days=length)
    due = review.due_on(natural=natural, opens_on=opens, campaign_due_on=ends)
    assert opens + review.NOTICE <= due <= ends
    assert due == natural or natural < opens + review.NOTICE or natural > ends


@given(due=days, offset=st.integers(-400, 400))
def test_undecided_states_follow_one_another_and_never_go_back(due: date, offset: int) -> None:
    order = [State.NORMAL, State.DUE, State.OVERDUE]
    today = due + timedelta(days=offset)
    now = review.state(due=due, today=today)
    tomorrow = review.state(due=due, today=today + timedelta(days=1))
    assert order.index(tomorrow) - order.index(now) in (0, 1)
    assert not review.must_suspend(due=due, today=today) or now is State.OVERDUE


@given(confirmed=days)
def test_a_confirmation_lasts_a_year_or_a_day_less(confirmed: date) -> None:
    due = review.natural_due_on(created_on=date(2019, 1, 1), confirmed_on=confirmed)
    assert 365 <= (due - confirmed).days <= 366


@pytest.mark.parametrize(
    ("offset", "step"),
    [
        (-31, None),
        (-30, Reminder.MONTH_BEFORE),
        (-8, Reminder.MONTH_BEFORE),
        (-7, Reminder.WEEK_BEFORE),
        (0, Reminder.ON_THE_DAY),
        (14, Reminder.ON_THE_DAY),
        (15, Reminder.TWO_WEEKS_AFTER),
        (25, Reminder.LAST_CALL),
        (29, Reminder.LAST_CALL),
        (30, None),
    ],
)
def test_reminders_speak_at_their_steps_and_catch_up_after_a_missed_day(
    offset: int, step: Reminder | None
) -> None:
    assert review.reminder(due=DUE, today=DUE + timedelta(days=offset)) is step


def test_an_ordinary_account_has_no_finding() -> None:
    assert review.findings(CLEAN, at=NOON) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"staff_left": True}, Finding.STAFF_LEFT),
        ({"has_staff": False}, Finding.NO_STAFF),
        ({"expired_qualifications": ["预防接种资格证"]}, Finding.QUALIFICATION_EXPIRED),
        ({"last_sign_in_at": None}, Finding.NEVER_SIGNED_IN),
        ({"last_sign_in_at": NOON - timedelta(days=90, seconds=1)}, Finding.DORMANT),
        ({"scope_within_subtree": False}, Finding.WIDE_SCOPE),
        ({"shares_phone": True}, Finding.SHARED_PHONE),
        ({"privileged": True}, Finding.PRIVILEGED),
    ],
)
def test_each_finding_stands_alone(change: dict[str, object], finding: Finding) -> None:
    facts = Facts(**{**CLEAN.__dict__, **change})
    assert review.findings(facts, at=NOON) == [finding]


def test_ninety_days_exactly_is_not_dormant_and_a_young_account_may_be_unused() -> None:
    at_the_edge = Facts(**{**CLEAN.__dict__, "last_sign_in_at": NOON - timedelta(days=90)})
    young = Facts(
        **{**CLEAN.__dict__, "last_sign_in_at": None, "created_at": NOON - timedelta(days=30)}
    )
    assert review.findings(at_the_edge, at=NOON) == []
    assert review.findings(young, at=NOON) == []


def powers(*grants: str, rights: str = "") -> Powers:
    return Powers(frozenset(grants), frozenset(rights.split()))


def test_bulk_confirmation_needs_a_former_review_with_the_same_powers_and_no_finding() -> None:
    nurse = powers("接种护士 · 本机构", rights="a.view a.add")
    wider = powers("接种护士 · 本机构", rights="a.view a.add a.delete")
    assert review.bulk_obstacles(reviewed=nurse, now=nurse, exceptions=[]) == []
    assert review.bulk_obstacles(reviewed=None, now=nurse, exceptions=[]) == ["首次年审"]
    # The role kept its name but won a right: that is a change as well.
    assert review.bulk_obstacles(reviewed=nurse, now=wider, exceptions=[]) == [
        "角色或权限自上次年审后有变化"
    ]
    assert review.bulk_obstacles(reviewed=nurse, now=nurse, exceptions=[Finding.DORMANT]) == [
        "超过 90 天未登录"
    ]


texts = st.frozensets(st.sampled_from("abcdef"), max_size=4)


@given(before=st.builds(Powers, texts, texts), after=st.builds(Powers, texts, texts))
def test_the_difference_leads_from_before_to_after(before: Powers, after: Powers) -> None:
    change = review.compare(before, after)
    assert (before.grants | set(change.grants_added)) - set(change.grants_removed) == after.grants
    assert (before.rights | set(change.rights_added)) - set(change.rights_removed) == after.rights
    assert bool(change) == (before != after)
