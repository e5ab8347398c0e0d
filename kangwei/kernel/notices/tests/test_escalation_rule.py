"""Escalation as a rule: hours a duty lead would check by hand, and a slow model that agrees."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from kangwei.kernel.notices.rules.escalation import Event, Kind, Policy, Step, level, next_step

START = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def policy(*after: int, repeat: int = 0) -> Policy:
    return Policy(tuple(timedelta(minutes=m) for m in after), timedelta(minutes=repeat))


CRITICAL = policy(0, 10, 20, 30)
STARTED = Event(Kind.STARTED, START)


def told(number: int, minutes: int) -> Event:
    return Event(Kind.TOLD, at(minutes), number)


def claimed(minutes: int, until: int) -> Event:
    return Event(Kind.ACKNOWLEDGED, at(minutes), until=at(until))


def test_the_first_level_is_due_at_once_and_the_next_after_ten_minutes() -> None:
    assert next_step(CRITICAL, [STARTED]) == Step(Kind.TOLD, 1, at(0))
    assert next_step(CRITICAL, [STARTED, told(1, 0)]) == Step(Kind.TOLD, 2, at(10))


def test_a_claim_stops_the_clock_and_lapses_after_two_hours() -> None:
    events = [STARTED, told(1, 0), claimed(4, 124)]
    assert next_step(CRITICAL, events) == Step(Kind.LAPSED, 1, at(124))
    # Four minutes had passed before the claim; six are left to the second level.
    events.append(Event(Kind.LAPSED, at(124), 1))
    assert next_step(CRITICAL, events) == Step(Kind.TOLD, 2, at(130))


def test_claiming_again_extends_the_claim_and_the_clock_stays_where_it_was() -> None:
    events = [STARTED, told(1, 0), claimed(4, 124), claimed(100, 220)]
    assert next_step(CRITICAL, events) == Step(Kind.LAPSED, 1, at(220))
    events.append(Event(Kind.LAPSED, at(220), 1))
    assert next_step(CRITICAL, events) == Step(Kind.TOLD, 2, at(226))


def test_the_last_level_is_repeated_while_nobody_takes_it() -> None:
    ladder = policy(0, 10, repeat=30)
    events = [STARTED, told(1, 0), told(2, 10)]
    assert next_step(ladder, events) == Step(Kind.REPEATED, 2, at(40))
    events.append(Event(Kind.REPEATED, at(40), 2))
    assert next_step(ladder, events) == Step(Kind.REPEATED, 2, at(70))


def test_a_new_level_due_at_the_same_moment_makes_the_repeat_superfluous() -> None:
    ladder = policy(0, 30, repeat=30)
    assert next_step(ladder, [STARTED, told(1, 0)]) == Step(Kind.TOLD, 2, at(30))


def test_without_repeats_the_top_of_the_ladder_is_the_end() -> None:
    events = [STARTED, *(told(n, m) for n, m in ((1, 0), (2, 10), (3, 20), (4, 30)))]
    assert next_step(CRITICAL, events) is None


def test_a_level_nobody_could_be_told_of_hands_over_at_once() -> None:
    events = [STARTED, told(1, 0), Event(Kind.UNREACHED, at(3), 1)]
    assert next_step(CRITICAL, events) == Step(Kind.TOLD, 2, at(3))


def test_after_the_stop_nothing_is_due() -> None:
    assert next_step(CRITICAL, [STARTED, told(1, 0), Event(Kind.STOPPED, at(5))]) is None


def test_a_warning_claimed_before_anybody_was_told_only_waits_longer() -> None:
    ladder = policy(60)
    events = [STARTED, claimed(10, 130)]
    assert next_step(ladder, events) == Step(Kind.LAPSED, 0, at(130))
    events.append(Event(Kind.LAPSED, at(130), 0))
    assert next_step(ladder, events) == Step(Kind.TOLD, 1, at(180))


def run(ladder: Policy, claims: list[tuple[int, int]], end: int) -> list[tuple[str, int, int]]:
    """Follow the rule, taking each step exactly when it is due."""
    events, story = [STARTED], list[tuple[str, int, int]]()
    waiting = [(minute, until) for minute, until in claims if minute < end]
    while True:
        step = next_step(ladder, events)
        claim = waiting[0] if waiting else None
        if claim and (step is None or at(claim[0]) < step.at):
            events.append(claimed(*claim))
            waiting.pop(0)
            continue
        if step is None or step.at >= at(end):
            return story
        events.append(Event(step.kind, step.at, step.level))
        story.append((step.kind, step.level, int((step.at - START).total_seconds() // 60)))


def minute_by_minute(
    ladder: Policy, claims: list[tuple[int, int]], end: int
) -> list[tuple[str, int, int]]:
    """The same told slowly: a clock that ticks only while nobody holds the matter."""
    after = [int(a.total_seconds() // 60) for a in ladder.after]
    repeat = int(ladder.repeat_every.total_seconds() // 60)
    story, clock, number, last, held = list[tuple[str, int, int]](), 0, 0, 0, -1
    for minute in range(end):
        if minute == held:
            held, last = -1, minute
            story.append((Kind.LAPSED, number, minute))
        if held < 0:
            while number < len(after) and clock >= after[number]:
                number, last = number + 1, minute
                story.append((Kind.TOLD, number, minute))
            if repeat and number and minute - last >= repeat:
                last = minute
                story.append((Kind.REPEATED, number, minute))
            clock += 1
        for begun, until in claims:
            if begun == minute:
                if held < 0:
                    clock -= 1  # this minute belongs to whoever took it
                held = until
    return story


@st.composite
def ladders(draw: st.DrawFn) -> Policy:
    steps = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=4)))
    return policy(*steps, repeat=draw(st.sampled_from([0, 7, 30])))


@st.composite
def claim_lists(draw: st.DrawFn) -> list[tuple[int, int]]:
    minutes = sorted(draw(st.sets(st.integers(0, 200), max_size=4)))
    return [(minute, minute + draw(st.integers(1, 60))) for minute in minutes]


@settings(max_examples=300)
@given(ladders(), claim_lists())
def test_counting_minute_by_minute_agrees(ladder: Policy, claims: list[tuple[int, int]]) -> None:
    assert run(ladder, claims, 240) == minute_by_minute(ladder, claims, 240)


def test_the_level_is_the_highest_told() -> None:
    assert level([STARTED]) == 0
    assert level([STARTED, told(1, 0), told(2, 10), Event(Kind.REPEATED, at(40), 1)]) == 2
