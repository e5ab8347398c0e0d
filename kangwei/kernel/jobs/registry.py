"""Declares background work: tasks, schedules and kinds of long runs (后台任务的登记).

A **task** (任务) is a function of JSON arguments that a worker calls after the caller's
transaction has committed. A **schedule** (定时任务) is a function of the moment that is called
when its cron line falls due in Asia/Shanghai. A **run kind** (长任务) is work with progress that
somebody waits for. All three may be killed at any instruction and are then called again, so
each must give the same result when called twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, transaction
from procrastinate import exceptions as queue_errors
from procrastinate.contrib.django import app
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision

from kangwei.kernel.audit import services as audit

from .rules import due

if TYPE_CHECKING:
    from .models import Run

DATABASE_LOST = (OperationalError, InterfaceError)
#: A lost database comes back: such a job is tried again after these seconds.
DATABASE_WAITS: tuple[int, ...] = (2, 5, 10, 20, 30, 60, 60, 60, 120, 120)


@dataclass(frozen=True)
class Retry(BaseRetryStrategy):
    """Try again after errors that can pass, with growing waits in seconds.

    Errors that are not named here fail the job at once: repeating them only hides them.
    """

    on: tuple[type[Exception], ...] = ()
    waits: tuple[int, ...] = (10, 60, 300, 900)

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, Interrupted):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, DATABASE_LOST):
            waits = DATABASE_WAITS
        elif isinstance(exception, self.on):
            waits = self.waits
        else:
            return None
        if job.attempts >= len(waits):
            return None
        return RetryDecision(retry_in={"seconds": waits[job.attempts]})


class Interrupted(Exception):
    """The worker is being stopped; the job goes back to the queue and is resumed later."""


@dataclass(frozen=True)
class Task:
    """A registered task. Calling it runs it here and now; `defer` queues it."""

    name: str
    work: Callable[..., object]
    queue: str = "default"
    _options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **arguments: Any) -> object:
        return self.work(**arguments)

    def configure(
        self,
        *,
        at: datetime | None = None,
        lock: str | None = None,
        queueing_lock: str | None = None,
        priority: int | None = None,
    ) -> Task:
        """The same task, to be deferred otherwise.

        `at` delays it; jobs of one `lock` run one after the other in order; with a
        `queueing_lock` at most one job waits; higher `priority` runs earlier.
        """
        given = {
            "schedule_at": at,
            "lock": lock,
            "queueing_lock": queueing_lock,
            "priority": priority,
        }
        options = {key: value for key, value in given.items() if value is not None}
        return replace(self, _options={**self._options, **options})

    def defer(self, **arguments: Any) -> bool:
        """Queue a job with JSON arguments inside the caller's transaction.

        Answers False when a job with the same queueing lock is waiting already.
        """
        try:
            # The savepoint keeps the caller's transaction usable after a refused queueing lock.
            with transaction.atomic():
                app.configure_task(self.name, queue=self.queue, **self._options).defer(**arguments)
        except queue_errors.AlreadyEnqueued:
            return False
        return True


def task(
    *, name: str, queue: str = "default", retry: Retry | None = None
) -> Callable[[Callable[..., object]], Task]:
    """Register a function of JSON keyword arguments as a task.

    The journal entries it causes carry the channel `job` and the number of the job, so that a
    row can be led back to the work that wrote it.
    """

    def register(work: Callable[..., object]) -> Task:
        def carried(context: JobContext, /, **arguments: Any) -> None:
            with audit.origin(channel="job", trace_id=f"job-{context.job.id}"):
                work(**arguments)

        app.task(name=name, queue=queue, retry=retry or Retry(), pass_context=True)(carried)
        return Task(name=name, work=work, queue=queue)

    return register


@dataclass(frozen=True)
class Schedule:
    """What should happen when (定时任务)."""

    name: str
    title: str
    cron: str
    work: Callable[[datetime], str]
    catch_up: timedelta
    description: str = ""


_schedules: dict[str, Schedule] = {}


def schedule(
    *,
    name: str,
    title: str,
    cron: str,
    catch_up: timedelta = timedelta(days=1),
    description: str = "",
) -> Callable[[Callable[[datetime], str]], Schedule]:
    """Register a function to be called whenever `cron` falls due in Asia/Shanghai.

    It gets the moment at which it is called and answers with one Chinese sentence, the summary
    in the ledger. When the worker was down, the last missed moment is made up (补做) if it is
    not older than `catch_up`; earlier ones stay visible as missed. `description` tells the
    reader of the schedules page what it is good for; a docstring in Chinese does so as well.
    """
    if not due.is_cron(cron):
        raise ValueError(f"schedule {name}: {cron!r} is not a cron line of five fields")

    def register(work: Callable[[datetime], str]) -> Schedule:
        if name in _schedules:
            raise ValueError(f"schedule {name} is registered twice")
        said = description or _in_chinese(work.__doc__ or "")
        found = Schedule(name, title, cron, work, catch_up, said)
        _schedules[name] = found
        return found

    return register


def _in_chinese(docstring: str) -> str:
    text = "".join(line.strip() for line in docstring.splitlines())
    return text if "一" <= text[:1] <= "鿿" else ""


def schedules() -> dict[str, Schedule]:
    return _schedules


@dataclass(frozen=True)
class RunKind:
    """A kind of long work (长任务) that shows progress and can be cancelled."""

    kind: str
    title: str
    work: Callable[[Run], Mapping[str, Any] | None]


_run_kinds: dict[str, RunKind] = {}


def register_run_kind(
    *, kind: str, title: str, work: Callable[[Run], Mapping[str, Any] | None]
) -> None:
    """`work` gets the run, calls `run.progress(…)` between its steps, and answers the result.

    After a kill it is called again with the same run: what is already done must be found and
    skipped, not repeated.
    """
    if kind in _run_kinds:
        raise ValueError(f"run kind {kind} is registered twice")
    _run_kinds[kind] = RunKind(kind, title, work)


def run_kinds() -> dict[str, RunKind]:
    return _run_kinds
