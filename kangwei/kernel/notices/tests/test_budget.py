"""The budget of a robot: fifteen calls in any sixty seconds, urgent ones first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.notices.rules.budget import MINUTE, Plan, Waiting, Window, plan

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def waiting(*priorities: int, at: datetime = NOON) -> list[Waiting]:
    return [Waiting(f"{n}", p, at + timedelta(seconds=n)) for n, p in enumerate(priorities)]


def robot(window: Window, items: list[Waiting], at: datetime = NOON) -> Plan:
    return plan(window, items, per_minute=15, merges=True, at=at)


def test_a_few_messages_go_one_by_one_highest_first() -> None:
    planned = robot(Window(), waiting(1, 3, 2))
    assert [[item.id for item in group] for group in planned.groups] == [["1"], ["2"], ["0"]]
    assert planned.look_again_at is None


def test_forty_at_once_become_eleven_alone_and_one_merged() -> None:
    planned = robot(Window(), waiting(*[1] * 40))
    assert [len(group) for group in planned.groups] == [1] * 11 + [29]
    # Three calls of the minute are kept back for urgent messages.
    assert len(planned.window.calls) == 12


def test_an_urgent_message_uses_a_call_kept_back_for_it() -> None:
    full = robot(Window(), waiting(*[1] * 40)).window
    later = NOON + timedelta(seconds=10)
    assert robot(full, waiting(1), later).groups == ()
    assert len(robot(full, waiting(3), later).groups) == 1


def test_an_ordinary_message_waits_until_a_call_is_a_minute_old() -> None:
    full = robot(Window(), waiting(*[1] * 40)).window
    planned = robot(full, waiting(1), NOON + timedelta(seconds=59))
    assert planned.groups == ()
    assert planned.look_again_at == NOON + MINUTE
    assert len(robot(full, waiting(1), NOON + MINUTE).groups) == 1


def test_a_muted_robot_diverts_urgent_messages_and_keeps_the_others() -> None:
    muted = Window().mute(NOON)
    planned = robot(muted, waiting(3, 1), NOON + timedelta(minutes=9, seconds=59))
    assert planned.groups == ()
    assert [item.id for item in planned.diverted] == ["0"]
    assert planned.look_again_at == NOON + timedelta(minutes=10)
    assert len(robot(muted, waiting(3, 1), NOON + timedelta(minutes=10)).groups) == 2


def test_a_channel_that_cannot_merge_sends_what_fits_and_keeps_the_rest() -> None:
    planned = plan(Window(), waiting(*[1] * 20), per_minute=10, merges=False, at=NOON)
    assert [len(group) for group in planned.groups] == [1] * 8
    assert planned.look_again_at == NOON + MINUTE


def test_one_call_a_minute_still_sends() -> None:
    planned = plan(Window(), waiting(1, 1, 3), per_minute=1, merges=True, at=NOON)
    assert [[item.id for item in group] for group in planned.groups] == [["2"]]


arrivals = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), min_size=1, max_size=80).map(
    sorted
)


@given(arrivals)
def test_no_sixty_seconds_ever_hold_more_than_fifteen_calls(
    arriving: list[tuple[int, int]],
) -> None:
    """Second by second, as a robot would count them."""
    window, pending, calls, sent = Window(), list[Waiting](), list[datetime](), set[object]()
    for second in range(600):
        at = NOON + timedelta(seconds=second)
        pending += [
            Waiting(n, priority, at)
            for n, (when, priority) in enumerate(arriving)
            if when == second
        ]
        planned = robot(window, pending, at)
        window = planned.window
        for group in planned.groups:
            calls.append(at)
            for item in group:
                assert item.id not in sent
                sent.add(item.id)
        pending = [item for item in pending if item.id not in sent]
    assert all(sum(1 for other in calls if call <= other < call + MINUTE) <= 15 for call in calls)
    assert len(sent) == len(arriving)
