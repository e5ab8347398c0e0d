"""What a supervisor, a load balancer and Prometheus ask: alive, ready, how is it going.

`/healthz` says that this process answers. `/readyz` says that a request would succeed: database,
tables, queue, clerk. `/metrics` is for loopback, for addresses of KW_METRICS_ADDRESSES and for
keys with the right to it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from datetime import timedelta

import msgspec
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from kangwei.kernel.audit import queries as audit
from kangwei.kernel.refusals import Refusal

from . import errors, traffic
from .gate import enter
from .models import Traffic

#: The clerk chains within 5 seconds; a journal that waits this long is not being chained.
MOST_CLERK_LAG = timedelta(seconds=60)

_tables_complete = False


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Every check with its sentence; 503 as soon as one fails."""
    found: dict[str, str] = {}
    ready = True
    for name, check in CHECKS.items():
        try:
            problem = check()
        except (DatabaseError, InterfaceError):
            problem = "数据库无法访问"
        found[name] = problem or "ok"
        ready = ready and not problem
    return HttpResponse(
        msgspec.json.encode({"ready": ready, "checks": found}),
        content_type="application/json",
        status=200 if ready else 503,
    )


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _tables() -> str:
    """Tables only ever get completer while a process lives, so the answer yes is remembered."""
    global _tables_complete
    if not _tables_complete:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "数据库表结构尚未升级，请执行 migrate"
        _tables_complete = True
    return ""


def _queue() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('procrastinate_jobs') IS NOT NULL")
        row = cursor.fetchone()
    return "" if row and row[0] else "任务队列的表不存在"


def _clerk() -> str:
    lag = clerk_lag_seconds()
    if lag > MOST_CLERK_LAG.total_seconds():
        return f"审计日志已有 {lag:.0f} 秒未记账，请检查工作进程"
    return ""


def clerk_lag_seconds() -> float:
    """How long the oldest journal line that is not in the chain has been waiting."""
    oldest = audit.chain_state().oldest_unchained_at
    if oldest is None:
        return 0.0
    with connection.cursor() as cursor:
        # By the database's clock, the one that wrote the moment.
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - %s)", [oldest])
        row = cursor.fetchone()
    return max(0.0, float(row[0])) if row else 0.0


CHECKS: dict[str, Callable[[], str]] = {
    "database": _database,
    "tables": _tables,
    "queue": _queue,
    "journal": _clerk,
}


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not _may_measure(request):
        try:
            enter(request, "api.view_metrics")
        except Refusal as refusal:
            return errors.answer(request, refusal)
    traffic.flush()
    lines = [*_traffic_lines(), *_queue_lines()]
    return HttpResponse(
        "\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8"
    )


def _may_measure(request: HttpRequest) -> bool:
    try:
        caller = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    allowed: list[str] = settings.KW_METRICS_ADDRESSES
    return caller.is_loopback or any(caller in ipaddress.ip_network(text) for text in allowed)


def _traffic_lines() -> Iterable[str]:
    rows = list(Traffic.objects.order_by("operation", "status"))
    yield from _head("kw_requests_total", "counter", "Requests answered, by operation and status.")
    for row in rows:
        yield f"kw_requests_total{_labels(row)} {row.requests}"
    yield from _head("kw_request_seconds_total", "counter", "Time spent answering them.")
    for row in rows:
        yield f"kw_request_seconds_total{_labels(row)} {row.seconds:.6f}"


def _labels(row: Traffic) -> str:
    operation = row.operation.replace("\\", r"\\").replace('"', r"\"").replace("\n", " ")
    return f'{{operation="{operation}",status="{row.status}"}}'


def _queue_lines() -> Iterable[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status ORDER BY 1"
        )
        counts = cursor.fetchall()
        cursor.execute(
            "SELECT count(*) FROM procrastinate_workers"
            " WHERE last_heartbeat > now() - interval '30 seconds'"
        )
        [workers] = cursor.fetchone() or (0,)
    yield from _head("kw_jobs", "gauge", "Jobs of the queue, by status.")
    for status, number in counts:
        yield f'kw_jobs{{status="{status}"}} {number}'
    yield from _head("kw_workers", "gauge", "Workers with a heartbeat in the last 30 seconds.")
    yield f"kw_workers {workers}"
    yield from _head("kw_journal_lag_seconds", "gauge", "Age of the oldest unchained entry.")
    yield f"kw_journal_lag_seconds {clerk_lag_seconds():.3f}"


def _head(name: str, kind: str, text: str) -> Iterable[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
