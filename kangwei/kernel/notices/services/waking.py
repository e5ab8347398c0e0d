"""Waking the worker that sends: inside the transaction that made something to send."""

from __future__ import annotations

from datetime import datetime

from kangwei.kernel import clock
from kangwei.kernel.jobs.registry import task

#: Sending goes before other waiting jobs: somebody may be watching for the answer.
FIRST = 10


@task(name="notices.dispatch")
def dispatch() -> None:
    """Send what is due and tell the levels that are due (发送通知)."""
    # What wakes stands below what works, and is called by it: the import comes late.
    from kangwei.kernel.notices.services import working

    working.work(now=clock.now)


def wake(at: datetime | None = None) -> None:
    """Have the queue looked at now, or at a moment. A wake-up that already waits is enough."""
    if at is None:
        dispatch.configure(queueing_lock="notices.dispatch", priority=FIRST).defer()
        return
    # One waiting wake-up for each five seconds: retries of one minute share theirs.
    lock = f"notices.dispatch.{int(at.timestamp()) // 5}"
    dispatch.configure(at=at, queueing_lock=lock, priority=FIRST).defer()
