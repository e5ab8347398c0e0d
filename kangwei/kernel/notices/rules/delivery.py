"""After an attempt: try again, another channel, or give up? (投递结果的处置)"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

#: Waits before the second, third and fourth attempt.
RETRY_AFTER = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2))
#: A message that leaves later than this counts as late (迟到).
LATE_AFTER = timedelta(minutes=2)
#: So many failures in a row mark the channel as failing (故障).
FAILING_AFTER = 5


class Verdict(StrEnum):
    """What an attempt came to."""

    ACCEPTED = "accepted"  # the service said yes
    REFUSED = "refused"  # it said no, and would say no again
    THROTTLED = "throttled"  # too many calls; the message itself is fine
    UNREACHABLE = "unreachable"  # no connection: nothing was handed over
    UNCLEAR = "unclear"  # handed over, no answer: it may have arrived
    BROKEN = "broken"  # the service is ill (5xx) and may recover


VERDICT_TITLES = {
    Verdict.ACCEPTED: "已接受",
    Verdict.REFUSED: "被拒绝",
    Verdict.THROTTLED: "被限流",
    Verdict.UNREACHABLE: "连接不上",
    Verdict.UNCLEAR: "无应答",
    Verdict.BROKEN: "服务异常",
}


def retry_at(verdict: Verdict, attempts: int, at: datetime) -> datetime | None:
    """The moment of the next attempt on the same channel; None: take another way.

    A refusal is not repeated: a wrong signature stays wrong. An attempt without an answer is
    repeated with the same delivery id, by which the receiver can tell a repetition.
    """
    if verdict in (Verdict.ACCEPTED, Verdict.REFUSED) or attempts > len(RETRY_AFTER):
        return None
    return at + RETRY_AFTER[attempts - 1]


def is_late(due_at: datetime, sent_at: datetime) -> bool:
    """Exactly two minutes is on time."""
    return sent_at - due_at > LATE_AFTER
