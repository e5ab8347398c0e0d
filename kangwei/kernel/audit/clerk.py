"""The clerk (记账员): the one writer that chains the journal, in the order of commit.

Entries are written unchained inside the transactions of their acts and become visible when those
commit. The clerk looks every second and chains what became visible since his last look: exactly
the entries of transactions that his last snapshot did not see, ordered by transaction and number.
So a transaction that runs for an hour neither stalls the chain nor slips through it.

Numbers of the chain come from the clerk, not from a sequence: rolled-back numbers leave holes, and
a hole in the chain has to mean a deletion. There is one clerk at a time, held by a session lock;
any number of processes may offer to be it.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime

import psycopg
from django.db import connections

from kangwei.kernel import clock
from kangwei.kernel.audit import anchors
from kangwei.kernel.audit.anchors import SignedAnchor
from kangwei.kernel.audit.rules.chain import GENESIS, Snapshot, link_hash
from kangwei.kernel.audit.wire import ANCHOR_LOCK, CLERK_LOCK, Connection, connect

log = logging.getLogger("kangwei.audit.clerk")

PAUSE = 1.0
ANCHOR_EVERY = 600.0
BATCH = 5000

_NEW = """
SELECT e.id, e.recorded_at::text, audit_canonical(e) FROM audit_entry e
WHERE (e.tx >= %(xmax)s OR e.tx = ANY(%(running)s)) ORDER BY e.tx, e.id
"""
#: A new clerk starts from the last anchor's snapshot, which lies before links already made. The day
#: before it is searched as well: a database restored elsewhere counts transactions anew.
_LEFT = """
SELECT e.id, e.recorded_at::text, audit_canonical(e) FROM audit_entry e
WHERE (e.tx >= %(xmax)s OR e.tx = ANY(%(running)s)
       OR e.recorded_at >= %(since)s::timestamptz - interval '1 day')
  AND NOT EXISTS (SELECT 1 FROM audit_link l WHERE l.entry_id = e.id)
ORDER BY e.tx, e.id
"""


class Clerk:
    """Chains, and anchors every ten minutes; made for one thread and one connection."""

    def __init__(self, *, anchor_every: float = ANCHOR_EVERY) -> None:
        self._anchor_every = anchor_every
        self._connection: Connection | None = None
        self._seen: Snapshot | None = None
        self._snapshot = ""
        self._seq, self._hash = 0, GENESIS
        self._anchored_seq = -1
        self._next_anchor = 0.0

    # Taking and leaving office ------------------------------------------------------------

    def take_office(self) -> bool:
        """Become the clerk, unless somebody else is."""
        if self._connection is None:
            self._connection = connect("kangwei-clerk")
        with self._connection.transaction():
            row = self._connection.execute(
                "SELECT pg_try_advisory_lock(%s)", [CLERK_LOCK]
            ).fetchone()
            if not (row and row[0]):
                return False
            head = self._connection.execute(
                "SELECT seq, hash FROM audit_link ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            anchor = self._connection.execute(
                "SELECT seq, hash FROM audit_anchor ORDER BY number DESC LIMIT 1"
            ).fetchone()
        # Without links (all sealed and put away) the chain goes on from the last anchor.
        self._seq, self._hash = head or anchor or (0, GENESIS)
        self._anchored_seq = anchor[0] if anchor else -1
        self._seen = None
        self._next_anchor = 0.0
        return True

    def leave_office(self) -> None:
        """Chain what is there, anchor it, and let go."""
        self.chain()
        self.anchor(kind="stop")
        self.drop()

    def drop(self) -> None:
        """Close the connection as it is; the lock goes with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # The work -----------------------------------------------------------------------------

    def chain(self) -> int:
        """Chain everything that became visible since the last call; how many entries."""
        connection = self._office()
        seq, previous = self._seq, self._hash
        with connection.transaction():
            row = connection.execute("SELECT pg_current_snapshot()::text").fetchone()
            assert row
            query, arguments = self._question(connection)
            with connection.cursor(name="kw_unchained") as entries:
                entries.execute(query, arguments)
                while batch := entries.fetchmany(BATCH):
                    lines = []
                    for entry_id, recorded_at, text in batch:
                        seq += 1
                        made = link_hash(previous, text)
                        lines.append(f"{seq}\t{entry_id}\t{recorded_at}\t{previous}\t{made}\n")
                        previous = made
                    with (
                        connection.cursor() as links,
                        links.copy(
                            "COPY audit_link (seq, entry_id, entry_recorded_at, prev_hash, hash)"
                            " FROM STDIN"
                        ) as copy,
                    ):
                        copy.write("".join(lines))
        # Only what is committed counts as seen.
        chained = seq - self._seq
        self._seq, self._hash = seq, previous
        self._snapshot = row[0]
        self._seen = Snapshot.read(row[0])
        return chained

    def _question(self, connection: Connection) -> tuple[str, dict[str, object]]:
        if self._seen is not None:
            return _NEW, {"xmax": self._seen.xmax, "running": list(self._seen.running)}
        row = connection.execute(
            "SELECT line, anchored_at::text FROM audit_anchor ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return _LEFT, {"xmax": 0, "running": [], "since": "-infinity"}
        seen = anchors.snapshot_of(row[0])
        return _LEFT, {"xmax": seen.xmax, "running": list(seen.running), "since": row[1]}

    def anchor(self, *, kind: str = "time", at: datetime | None = None) -> SignedAnchor | None:
        """Sign the chain's head, unless the last anchor already holds it."""
        if self._seq == self._anchored_seq or self._seq == 0:
            anchors.complete_file(self._office())
            return None
        made = write_anchor(
            self._office(),
            kind=kind,
            at=at or clock.now(),
            seq=self._seq,
            head=self._hash,
            snapshot=self._snapshot,
        )
        self._anchored_seq = self._seq
        return made

    def _office(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the clerk is not in office")
        return self._connection

    # Day and night ------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; a lost database is waited for."""
        patience = PAUSE
        while not stop.is_set():
            try:
                if not self.take_office():
                    stop.wait(5 * PAUSE)
                    continue
                log.info("audit.clerk.in_office", extra={"seq": self._seq})
                patience = PAUSE
                self._serve(stop)
            except (psycopg.Error, OSError):
                log.exception("audit.clerk.interrupted")
                self.drop()
                stop.wait(patience)
                patience = min(patience * 2, 30.0)
        self.drop()
        connections.close_all()

    def _serve(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.chain()
            if time.monotonic() >= self._next_anchor:
                self.anchor()
                connections.close_all()  # the keys were read through this thread's own
                self._next_anchor = time.monotonic() + self._anchor_every
            stop.wait(PAUSE)
        self.leave_office()


def write_anchor(
    connection: Connection,
    *,
    kind: str,
    at: datetime,
    seq: int,
    head: str,
    snapshot: str,
    about: dict[str, object] | None = None,
) -> SignedAnchor:
    """One more anchor: into the table first, then into the file, each waited for."""
    # A session lock in a transaction of its own: the next one's snapshot is taken after it.
    with connection.transaction():
        connection.execute("SELECT pg_advisory_lock(%s)", [ANCHOR_LOCK])
    try:
        anchors.complete_file(connection)
        anchor = _store_anchor(connection, kind, at, seq, head, snapshot, about)
        anchors.append_to_file(anchor)
    finally:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_unlock(%s)", [ANCHOR_LOCK])
    return anchor


def _store_anchor(
    connection: Connection,
    kind: str,
    at: datetime,
    seq: int,
    head: str,
    snapshot: str,
    about: dict[str, object] | None,
) -> SignedAnchor:
    with connection.transaction():
        book = connection.execute("SELECT id::text FROM audit_book").fetchone()
        last = connection.execute(
            "SELECT number, digest FROM audit_anchor ORDER BY number DESC LIMIT 1"
        ).fetchone()
        number, previous = last or (0, GENESIS)
        assert book
        anchor = anchors.make_anchor(
            book=book[0],
            number=number + 1,
            kind=kind,
            at=at,
            seq=seq,
            head=head,
            snapshot=snapshot,
            previous=previous,
            about=about,
        )
        connection.execute(
            "INSERT INTO audit_anchor (number, kind, anchored_at, seq, hash, line, digest,"
            " algorithm, kid, signature) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                number + 1, kind, at, seq, head, anchor.line, anchor.digest,
                anchor.signature.algorithm, anchor.signature.kid, anchor.signature.value,
            ],
        )  # fmt: skip
    return anchor


def start_in_thread(stop: threading.Event) -> threading.Thread:
    """Offer a clerk beside the worker's own work; join the thread after setting `stop`."""
    thread = threading.Thread(target=Clerk().run, args=(stop,), name="kangwei-clerk", daemon=True)
    thread.start()
    return thread
