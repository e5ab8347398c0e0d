"""A real worker process for tests, with slow work and short patience.

`python -m kangwei.kernel.jobs.tests.crawl start STEPS` queues a run and prints its number;
`… work` is a worker that takes a process for dead after two seconds.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from typing import Any

import django


def crawl(run: Any) -> dict[str, Any]:
    """Write one line per step, each in a transaction of its own; find what is done already."""
    from django.db import connection

    steps = run.arguments["steps"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(step), 0) FROM crawl_step WHERE run = %s", [run.pk])
        [[done]] = cursor.fetchall()
        for step in range(done + 1, steps + 1):
            run.progress(step - 1, steps)
            cursor.execute("INSERT INTO crawl_step VALUES (%s, %s)", [run.pk, step])
            time.sleep(0.03)
    return {"steps": steps}


def main(what: str, *arguments: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kangwei.web.settings")
    django.setup()
    from kangwei.kernel import clock
    from kangwei.kernel.jobs import models, registry, services, worker

    registry.register_run_kind(kind="test.crawl", title="慢工", work=crawl)
    if what == "start":
        run = services.start_run(
            kind="test.crawl",
            title="慢工",
            by=None,
            at=clock.now(),
            arguments={"steps": int(arguments[0])},
        )
        print(run.pk)
        return
    registry._schedules.clear()
    services.DEAD_AFTER = timedelta(seconds=2)
    worker.RESCUE_EVERY = 0.5
    worker.HEARTBEAT_EVERY = 0.4
    models.PROGRESS_EVERY = 0.1
    try:
        worker.run(threads=2)
    except worker.LostDatabase:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
