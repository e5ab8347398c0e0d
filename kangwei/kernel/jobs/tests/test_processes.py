"""Real worker processes: killed at random moments, stopped in order, robbed of their database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[4]
CRAWL = [sys.executable, "-m", "kangwei.kernel.jobs.tests.crawl"]
pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


class Site:
    """A database of its own and the processes that work on it."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "KW_TESTING": "1",
            "KW_DATA": str(data),
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self.database = psycopg.connect(url, autocommit=True)

    def start_run(self, steps: int) -> int:
        out = subprocess.run(
            [*CRAWL, "start", str(steps)],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
        )
        return int(out.stdout)

    def work(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen([*CRAWL, "work"], cwd=ROOT, env=self.environment)
        self.workers.append(worker)
        return worker

    def ask(self, query: str, *parameters: Any) -> list[Any]:
        return self.database.execute(query, parameters or None).fetchall()

    def wait(self, what: str, come: Callable[[], bool], seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not come():
            assert time.monotonic() < until, f"{what} did not come within {seconds} s"
            time.sleep(0.05)

    def steps(self) -> int:
        return int(self.ask("SELECT count(*) FROM crawl_step")[0][0])

    def wait_for_a_step(self, *, beyond: int) -> None:
        self.wait("a step", lambda: self.steps() > beyond or not self.open_runs())

    def open_runs(self) -> int:
        return int(
            self.ask("SELECT count(*) FROM jobs_run WHERE state IN ('waiting', 'running')")[0][0]
        )

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        self.database.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A copy of the test database, so that killed processes leave the other tests alone."""
    settings = connection.settings_dict
    name = f"{settings['NAME']}_workers"
    connection.close()  # a template must not be in use
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{settings["NAME"]}"')
    password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
    port = f"&port={settings['PORT']}" if settings["PORT"] else ""
    found = Site(
        f"postgresql://{settings['USER']}{password}@/{name}?host={settings['HOST']}{port}",
        tmp_path,
    )
    found.database.execute("CREATE TABLE crawl_step (run bigint, step int)")
    try:
        yield found
    finally:
        found.close()
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.prove
def test_killed_workers_lose_no_step_and_repeat_none(site: Site) -> None:
    rounds = 20 if os.environ.get("KW_PROVE") else 3
    dice = random.Random(2026)
    runs = [site.start_run(20 * rounds) for _ in range(2)]
    for _ in range(rounds):
        seen = site.steps()
        worker = site.work()
        site.wait_for_a_step(beyond=seen)
        time.sleep(dice.uniform(0, 0.4))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    site.work()
    site.wait("the end of all runs", lambda: site.open_runs() == 0)

    assert site.ask("SELECT id, state, done FROM jobs_run ORDER BY id") == [
        (run, "done", 20 * rounds) for run in runs
    ]
    for run in runs:
        steps = site.ask("SELECT step FROM crawl_step WHERE run = %s ORDER BY step", run)
        assert [step for (step,) in steps] == list(range(1, 20 * rounds + 1))
    [(most,)] = site.ask("SELECT max(attempt) FROM jobs_run")
    assert most >= 2, "the kills hit no run; the test proves nothing"
    site.wait(
        "a queue at rest",
        lambda: (
            site.ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") == [(0,)]
        ),
    )


def test_a_worker_told_to_stop_gives_its_run_back_and_leaves_soon(site: Site) -> None:
    [(newest,)] = site.ask("SELECT coalesce(max(id), 0) FROM procrastinate_jobs")
    run = site.start_run(100)
    worker = site.work()
    site.wait("a step", lambda: site.steps() > 0)
    asked = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=15) == 0
    assert time.monotonic() - asked < 10
    assert site.ask("SELECT state FROM jobs_run WHERE id = %s", run) == [("waiting",)]
    # Other jobs may be there, of a full minute's schedules; the run's own waits again.
    mine = (
        "SELECT status FROM procrastinate_jobs"
        " WHERE id > %s AND task_name = 'jobs.perform_run' ORDER BY id DESC LIMIT 1"
    )
    assert site.ask(mine, newest) == [("todo",)]
    assert site.ask("SELECT count(*) FROM procrastinate_workers") == [(0,)]

    site.work()
    site.wait("the end of the run", lambda: site.open_runs() == 0)
    assert site.steps() == 100


def test_a_worker_without_database_leaves_and_its_successor_ends_the_work(site: Site) -> None:
    site.start_run(60)
    worker = site.work()
    site.wait("a step", lambda: site.steps() > 0)
    site.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    # Whether it lives on with fresh connections or leaves is its own affair; the work is not.
    time.sleep(1)
    site.work()
    site.wait("the end of the run", lambda: site.open_runs() == 0)
    assert site.ask("SELECT count(*), count(DISTINCT step) FROM crawl_step") == [(60, 60)]
    assert worker.poll() in {None, 1}
