"""The worker process (工作进程): takes jobs from the queue, watches the clock, rescues the stalled.

One event loop fetches jobs and hands them to a few threads. A housekeeping thread queues the
schedules that fall due and gives the jobs of dead workers back; another offers the journal's clerk
(记账员), who chains what was done. Any number of workers may run;
the database decides who is first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from django.db import close_old_connections, connection
from procrastinate.contrib.django import DjangoApp, app, connector_params
from procrastinate.psycopg_connector import PsycopgConnector

from kangwei.kernel import clock
from kangwei.kernel.audit import clerk

from . import registry, services, stopping
from .rules import due

logger = logging.getLogger("kangwei.jobs")

RESCUE_EVERY = 15.0
HEARTBEAT_EVERY = 8.0
#: A job that does not end within this time after a stop is asked for is left to the rescue.
STOP_WITHIN = 15.0


class LostDatabase(Exception):
    """The worker's own connection broke; the supervisor starts it anew."""


def run(*, threads: int, one_shot: bool = False) -> None:
    """Work until told to stop, or until the queue is empty."""
    stopping.clear()
    services.note_schedules(at=clock.now())
    beside: list[threading.Thread] = []
    if not one_shot:
        beside = [
            threading.Thread(target=_keep_house, name="housekeeping", daemon=True),
            clerk.start_in_thread(stopping.event),
        ]
        beside[0].start()
    try:
        asyncio.run(_work(threads, one_shot))
    finally:
        stopped_on_request = stopping.requested() or one_shot
        stopping.request()
        for thread in beside:
            thread.join(timeout=5)
        connection.close()
    if not stopped_on_request:
        raise LostDatabase


async def _work(threads: int, one_shot: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="job"))
    connector = PsycopgConnector(kwargs=connector_params(), min_size=1, max_size=2)
    # A second app over the same tasks: the worker speaks to the queue on connections of its own,
    # while `defer` inside a job stays on Django's connection and thus in the job's transaction.
    worker_app = DjangoApp(connector=connector)
    worker_app.tasks = app.tasks
    async with worker_app.open_async():
        working = asyncio.ensure_future(
            worker_app.run_worker_async(
                name=f"worker-{os.getpid()}",
                concurrency=threads,
                wait=not one_shot,
                install_signal_handlers=False,
                shutdown_graceful_timeout=STOP_WITHIN,
                update_heartbeat_interval=HEARTBEAT_EVERY,
                stalled_worker_timeout=services.DEAD_AFTER.total_seconds(),
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, working)
        with contextlib.suppress(asyncio.CancelledError):
            await working


def _stop(working: asyncio.Future[None]) -> None:
    """End in order: no new job, long runs return to the queue, short jobs come to their end."""
    if stopping.requested():
        return
    stopping.request()
    # A thread cannot be ended from outside. Whatever still runs after the limit is idempotent
    # and comes back through the rescue, so the process may simply leave.
    limit = threading.Timer(STOP_WITHIN + 2, os._exit, (0,))
    limit.daemon = True
    limit.start()
    working.cancel()


def _keep_house() -> None:
    """Queue what is due, rescue what is stalled; outlive a database that comes and goes."""
    next_due: dict[str, datetime] = {}
    rescued_at = 0.0
    while not stopping.wait(1.0):
        try:
            close_old_connections()
            queue_due_schedules(next_due, clock.now())
            if time.monotonic() - rescued_at >= RESCUE_EVERY:
                rescued_at = time.monotonic()
                if count := services.rescue_stalled(at=clock.now()):
                    logger.warning("jobs.rescued", extra={"jobs": count})
        except Exception:
            # Written once per failure; the loop must go on when PostgreSQL is back.
            logger.exception("jobs.housekeeping.failed")
            connection.close()
            next_due.clear()
            stopping.wait(2.0)
    connection.close()


def queue_due_schedules(next_due: dict[str, datetime], at: datetime) -> None:
    """Queue every schedule whose next due moment has come; remembers the one after it.

    With an empty memory, as after a start, the latest due moment of each is looked at once:
    that is how a moment missed while no worker ran is made up.
    """
    for found in registry.schedules().values():
        expected = next_due.get(found.name)
        if expected is None or expected <= at:
            services.queue_due(name=found.name, at=at)
            next_due[found.name] = due.next_due(found.cron, at)
