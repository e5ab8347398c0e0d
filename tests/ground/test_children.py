"""The growing pause before a fallen child is started again."""

from __future__ import annotations

from kangwei.supervisor.children import next_wait


def test_the_pause_doubles_from_half_a_second_to_half_a_minute() -> None:
    waits, last = [], 0.0
    for _ in range(8):
        last = next_wait(last, stayed_up=0)
        waits.append(last)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_child_that_stayed_up_ten_seconds_is_forgiven() -> None:
    assert next_wait(30, stayed_up=9.9) == 30
    assert next_wait(30, stayed_up=10) == 0.5
