"""How many requests were answered, by operation and status (请求统计).

Several processes serve the site and the one that is asked for `/metrics` must speak for all.
Each keeps its own sums and adds them to one unlogged table every few seconds, at the end of a
request; the process that is asked adds its own first. An idle process may thus hold back the
last seconds of its work until its next request: late, never wrong.
"""

from __future__ import annotations

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest

logger = logging.getLogger("kangwei.api")

FLUSH_EVERY = 5.0

_lock = threading.Lock()
_sums: dict[tuple[str, int], tuple[int, float]] = {}
_flushed_at = time.monotonic()


def count(request: HttpRequest, status: int, seconds: float) -> None:
    """Note one answer; now and then add the sums to the table."""
    operation = _operation(request)
    with _lock:
        requests, total = _sums.get((operation, status), (0, 0.0))
        _sums[operation, status] = requests + 1, total + seconds
        due = time.monotonic() - _flushed_at > FLUSH_EVERY
    if due and not connection.in_atomic_block:
        flush()


def flush() -> None:
    """Add this process's sums to the shared table."""
    global _flushed_at
    with _lock:
        taken = sorted(_sums.items())
        _sums.clear()
        _flushed_at = time.monotonic()
    if not taken:
        return
    try:
        with connection.cursor() as cursor:
            # One statement in sorted order: two processes never wait for each other in a circle.
            cursor.execute(
                """
                INSERT INTO api_traffic AS seen (operation, status, requests, seconds)
                SELECT * FROM unnest(%s::text[], %s::smallint[], %s::bigint[], %s::float8[])
                ON CONFLICT (operation, status) DO UPDATE SET
                    requests = seen.requests + excluded.requests,
                    seconds = seen.seconds + excluded.seconds
                """,
                [
                    [operation for (operation, _), _ in taken],
                    [status for (_, status), _ in taken],
                    [requests for _, (requests, _) in taken],
                    [seconds for _, (_, seconds) in taken],
                ],
            )
    except (DatabaseError, InterfaceError):
        # Counting must not turn an answered request into an error; the sums wait for better days.
        logger.warning("api.traffic_not_counted")
        with _lock:
            for key, (requests, seconds) in taken:
                had, total = _sums.get(key, (0, 0.0))
                _sums[key] = had + requests, total + seconds


def _operation(request: HttpRequest) -> str:
    """The address's pattern, never the address: a number of possible values stays finite."""
    match = request.resolver_match
    if match is None:
        return "none"
    return f"{request.method} /{match.route}"[:300]
