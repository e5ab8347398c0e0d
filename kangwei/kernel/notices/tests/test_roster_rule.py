"""Who is on duty: hand-over hours, weeks, holidays with make-up days, substitutions."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.notices.rules.roster import (
    SHANGHAI,
    Duty,
    Roster,
    Substitution,
    duty_day,
    on_duty,
    turn,
)

#: Monday 9 February 2026; the Spring Festival of that year is 15 to 23 February, and the
#: Saturdays 14 and 28 February are working days.
MONDAY = date(2026, 2, 9)
MAKE_UP = {date(2026, 2, 14), date(2026, 2, 28)}
FESTIVAL = {date(2026, 2, 15) + timedelta(days=n) for n in range(9)}
ZHANG, LI, WANG, ZHAO = 1, 2, 3, 4


def working(day: date) -> bool:
    return day in MAKE_UP or (day.weekday() < 5 and day not in FESTIVAL)


def moment(day: int, hour: int = 12, minute: int = 0, month: int = 2) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=SHANGHAI)


def roster(rotation: str = "daily", rest: tuple[int, ...] = ()) -> Roster:
    return Roster(rotation, MONDAY, time(8, 30), (ZHANG, LI, WANG), rest)  # type: ignore[arg-type]


def who(found: Roster, at: datetime, *substitutions: Substitution) -> int | None:
    duty = on_duty(found, at, working, substitutions)
    return duty.person if duty else None


def test_before_the_hand_over_hour_the_day_before_is_on_duty() -> None:
    assert duty_day(roster(), moment(10, 8, 29)) == date(2026, 2, 9)
    assert duty_day(roster(), moment(10, 8, 30)) == date(2026, 2, 10)
    assert who(roster(), moment(10, 8, 29)) == ZHANG
    assert who(roster(), moment(10, 8, 30)) == LI


def test_before_the_roster_starts_nobody_is_on_duty() -> None:
    assert who(roster(), moment(9, 8, 29)) is None
    assert who(roster(), moment(9, 8, 30)) == ZHANG


def test_by_the_week_the_turn_changes_every_seventh_day() -> None:
    weekly = roster("weekly")
    assert [who(weekly, moment(day)) for day in (9, 15, 16, 22, 23)] == [
        ZHANG, ZHANG, LI, LI, WANG,
    ]  # fmt: skip


def test_a_make_up_saturday_belongs_to_the_people_of_working_days() -> None:
    found = roster(rest=(ZHAO,))
    assert who(found, moment(13)) == LI  # Friday, the fifth working day
    assert who(found, moment(14)) == WANG  # make-up Saturday, the sixth
    assert who(found, moment(15)) == ZHAO  # first day of the festival
    assert who(found, moment(24)) == ZHANG  # the seventh working day


def test_rest_days_move_their_own_list_one_step_a_day() -> None:
    found = roster(rest=(ZHAO, ZHANG))
    assert [who(found, moment(day)) for day in (15, 16, 17)] == [ZHAO, ZHANG, ZHAO]


def test_a_week_keeps_its_person_on_working_days_beside_a_rest_day_list() -> None:
    found = roster("weekly", rest=(ZHAO,))
    assert who(found, moment(14)) == ZHANG
    assert who(found, moment(15)) == ZHAO
    assert who(found, moment(24)) == WANG


def test_a_substitution_counts_from_its_start_until_before_its_end() -> None:
    instead = Substitution(ZHANG, ZHAO, moment(9, 18), moment(9, 22))
    assert who(roster(), moment(9, 17, 59), instead) == ZHANG
    assert who(roster(), moment(9, 18), instead) == ZHAO
    assert who(roster(), moment(9, 22), instead) == ZHANG
    duty = on_duty(roster(), moment(9, 18), working, [instead])
    assert duty == Duty(ZHAO, ZHANG, "按日轮值第 1 轮次，替班")


def test_who_stands_in_may_be_absent_too_and_two_cannot_chase_each_other() -> None:
    all_day = (moment(9, 0), moment(10, 0))
    chain = [Substitution(ZHANG, LI, *all_day), Substitution(LI, WANG, *all_day)]
    assert who(roster(), moment(9), *chain) == WANG
    circle = [Substitution(ZHANG, LI, *all_day), Substitution(LI, ZHANG, *all_day)]
    assert who(roster(), moment(9), *circle) == LI


def test_an_empty_roster_has_nobody() -> None:
    empty = Roster("daily", MONDAY, time(8, 30), ())
    assert who(empty, moment(9)) is None


@given(st.integers(0, 400), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_walking_day_by_day_agrees(days: int, people: int, resting: int, weekly: bool) -> None:
    """Give each day away in order, as a clerk with a list would."""
    members = tuple(range(1, people + 1))
    rest = tuple(range(101, 101 + resting))
    found = Roster("weekly" if weekly else "daily", MONDAY, time(8, 30), members, rest)
    worked = rested = 0
    for n in range(days):
        if working(MONDAY + timedelta(days=n)) or not rest:
            worked += 1
        else:
            rested += 1
    day = MONDAY + timedelta(days=days)
    if rest and not working(day):
        expected = rest[rested % len(rest)]
    elif weekly:
        expected = members[days // 7 % people]
    else:
        expected = members[worked % people]
    answer = turn(found, day, working)
    assert answer is not None
    assert answer[0] == expected
