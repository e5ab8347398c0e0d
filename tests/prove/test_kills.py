"""Kills at random moments: no acknowledged act is lost, none is done twice, the journal is whole.

Four clients engage staff over the API, each act under its own idempotency key, and repeat it until
they have a 2xx in hand, as a careful program does. Meanwhile the web server, one of its workers,
the background worker or PostgreSQL is killed with SIGKILL, again and again.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from tests.ground.house import ROOT, House, house, until

pytestmark = pytest.mark.process
#: make test looks whether it works; make prove proves it.
ROUNDS = int(os.environ.get("KW_PROVE_ROUNDS") or (100 if os.environ.get("KW_PROVE") else 4))
CLIENTS = 4
VICTIMS = ("web", "web worker", "worker", "postgresql")


@dataclass
class Client:
    """A careful program: it repeats an act under the same key until it is acknowledged."""

    home: House
    key: str
    institution: int
    enough: threading.Event
    acknowledged: list[str] = field(default_factory=list)
    attempted: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    repeats: int = 0

    def work(self) -> None:
        while not self.enough.is_set():
            act = uuid.uuid4().hex
            self.attempted.append(act)
            if self.until_acknowledged(act):
                self.acknowledged.append(act)

    def until_acknowledged(self, act: str) -> bool:
        first = ""
        for attempt in range(600):
            status, body = self.once(act)
            if 200 <= status < 300:
                # Every third act is asked for again, as after a lost answer.
                if not first and len(self.attempted) % 3 == 0:
                    first = body
                    continue
                if first and body != first:
                    self.surprises.append(f"{act}: the repeated answer differs: {body}")
                return True
            if status and status not in (409, 429, 500, 502, 503):
                self.surprises.append(f"{act}: {status} {body}")
                return bool(first)
            self.repeats += attempt > 0
            time.sleep(0.1)
        self.surprises.append(f"{act}: never acknowledged")
        return bool(first)

    def once(self, act: str) -> tuple[int, str]:
        """One attempt; status 0 when the connection broke before the answer was whole."""
        connection = http.client.HTTPConnection("127.0.0.1", self.home.port, timeout=10)
        content = {"institution_id": self.institution, "name": "林晓", "position": act}
        try:
            connection.request(
                "POST",
                "/api/v1/organisations/staff",
                body=json.dumps(content),
                headers={
                    "Authorization": f"Bearer {self.key}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": act,
                },
            )
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path / "data") as home:
        home.start()
        yield home


def kill(home: House, victim: str) -> None:
    """SIGKILL to one process, and wait until the house is whole again."""
    web = home.pids("kangwei.web.serve")
    pid = {
        "web": lambda: web[0],
        "web worker": lambda: web[-1],
        "worker": lambda: home.pids("run_worker")[0],
        "postgresql": lambda: home.pids("bin/postgres -D")[0],
    }[victim]()
    os.kill(pid, signal.SIGKILL)
    until(
        lambda: (
            pid not in home.everyone()
            and len(home.pids("kangwei.web.serve")) == 3
            and home.pids("run_worker")
            and home.get("/readyz") == 200
        ),
        90,
        lambda: f"after killing {victim}\n{home.said}",
    )


@pytest.mark.prove
def test_kills_at_random_moments_lose_nothing_and_double_nothing(home: House) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.prove.caller"],
        cwd=ROOT,
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    caller = json.loads(told.stdout.splitlines()[-1])

    enough = threading.Event()
    clients = [Client(home, caller["key"], caller["institution"], enough) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.work) for client in clients]
    for thread in threads:
        thread.start()
    chance = random.Random(20261120)
    try:
        until(lambda: sum(len(client.acknowledged) for client in clients) > 20, 60)
        for number in range(ROUNDS):
            time.sleep(chance.uniform(0.1, 1.5))
            kill(home, VICTIMS[number % len(VICTIMS)])
    finally:
        enough.set()
        for thread in threads:
            thread.join(90)

    acknowledged = [act for client in clients for act in client.acknowledged]
    attempted = [act for client in clients for act in client.attempted]
    assert [surprise for client in clients for surprise in client.surprises] == []
    assert len(acknowledged) > 20 + ROUNDS

    with psycopg.connect((home.data / "database-owner-url").read_text().strip()) as connection:
        rows = Counter(
            position
            for (position,) in connection.execute("select position from organisations_staff")
            if position
        )
        entries = Counter(
            position
            for (position,) in connection.execute(
                "select s.position from organisations_staff s"
                " join audit_entry e on e.object_id = s.id::text"
                " where e.act = 'organisations.staff.created' and e.kind = 'act'"
                " and e.result = 'done'"
            )
            if position
        )
    lost = [act for act in acknowledged if not rows[act]]
    doubled = [act for act in attempted if rows[act] > 1]
    assert (lost, doubled) == ([], [])
    assert set(rows) <= set(attempted)
    # Each act stands once in the journal, and nothing there that did not happen.
    assert entries == rows

    def verified() -> bool:
        return home.manage("audit", "verify").returncode == 0

    until(verified, 60, lambda: home.manage("audit", "verify").stdout)
    print(
        f"\n{ROUNDS} kills: {len(acknowledged)} acts acknowledged of {len(attempted)} attempted,"
        " 0 lost, 0 done twice, the journal verifies"
    )
