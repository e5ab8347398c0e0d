"""The clerk chains in the order of commit, loses nothing, repeats nothing, and is one."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from kangwei.kernel.audit import anchors, clerk, queries
from kangwei.kernel.audit.anchors import SignedAnchor
from kangwei.kernel.audit.clerk import Clerk
from kangwei.kernel.audit.models import Anchor, Entry, Link
from kangwei.kernel.audit.rules.chain import GENESIS, link_hash
from kangwei.kernel.audit.tests import make
from kangwei.kernel.audit.tests.make import NOON, sql

INSERT = "INSERT INTO audit_entry (kind, act, reason) VALUES ('digest', 'test.thing.done', %s)"


def reasons() -> list[str]:
    """The chained entries' reasons in the order of the chain."""
    return [
        row[0]
        for row in sql(
            "SELECT e.reason FROM audit_link l JOIN audit_entry e ON e.id = l.entry_id"
            " ORDER BY l.seq"
        )
    ]


def test_each_link_binds_entry_and_predecessor(journal: Path) -> None:
    make.chained(3)
    previous = GENESIS
    for link in Link.objects.order_by("seq"):
        (text,) = sql("SELECT audit_canonical(e) FROM audit_entry e WHERE id = %s", link.entry_id)[
            0
        ]
        assert link.prev_hash == previous
        assert link.hash == link_hash(previous, text)
        assert link.algorithm == "SM3"
        previous = link.hash
    assert list(Link.objects.order_by("seq").values_list("seq", flat=True)) == [1, 2, 3]


def test_a_second_pass_finds_nothing_new(journal: Path) -> None:
    make.act()
    office = make.in_office()
    assert office.chain() == 1
    assert office.chain() == 0
    make.act()
    assert office.chain() == 1
    office.drop()


def test_the_order_is_that_of_commit(journal: Path) -> None:
    """A transaction that began first and commits last comes last."""
    office, slow = make.in_office(), make.session()
    slow.execute(INSERT, ["先写后交"])
    make.act("后写先交")
    assert office.chain() == 1
    slow.commit()
    assert office.chain() == 1
    assert reasons() == ["后写先交", "先写后交"]
    office.drop()


def test_a_long_transaction_neither_stalls_the_chain_nor_slips_through(journal: Path) -> None:
    office, slow = make.in_office(), make.session()
    slow.execute(INSERT, ["长事务"])
    for number in range(3):
        make.act(f"短 {number}")
        assert office.chain() == 1
    office.anchor(at=NOON)
    slow.commit()
    assert office.chain() == 1
    assert reasons()[-1] == "长事务"
    office.drop()


def test_a_new_clerk_takes_up_what_his_predecessor_left(journal: Path) -> None:
    slow = make.session()
    slow.execute(INSERT, ["跨任"])
    make.chained(2)
    slow.commit()
    make.act("无人在任")
    office = make.in_office()
    assert office.chain() == 2
    assert office.chain() == 0
    assert len(reasons()) == len(set(Link.objects.values_list("entry_id", flat=True))) == 4
    office.drop()


def test_a_clerk_who_died_after_his_anchor_repeats_nothing(journal: Path) -> None:
    make.chained(2)
    make.chained(2, anchor=False)
    office = make.in_office()
    assert office.chain() == 0
    office.drop()


def test_rolled_back_numbers_leave_no_hole(journal: Path) -> None:
    lost = make.session()
    lost.execute(INSERT, ["撤销"])
    make.act("一")
    lost.rollback()
    make.act("二")
    office = make.in_office()
    office.chain()
    assert list(Link.objects.order_by("seq").values_list("seq", flat=True)) == [1, 2]
    office.drop()


def test_there_is_one_clerk_at_a_time(journal: Path) -> None:
    first, second = make.in_office(), Clerk()
    assert not second.take_office()
    second.drop()
    first.drop()
    make.in_office()


def test_more_entries_than_one_batch_are_chained_in_one_pass(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerk, "BATCH", 7)
    sql(
        "INSERT INTO audit_entry (kind, act) SELECT 'digest', 'test.thing.done'"
        " FROM generate_series(1, 30)"
    )
    office = make.in_office()
    assert office.chain() == 30
    office.drop()
    ids = list(Link.objects.order_by("seq").values_list("entry_id", flat=True))
    assert ids == sorted(Entry.objects.values_list("pk", flat=True))


# Anchors ------------------------------------------------------------------------------------


def test_an_anchor_is_signed_and_stands_in_table_and_file(journal: Path) -> None:
    make.chained(2)
    stored = Anchor.objects.get()
    (line,) = journal.read_text("utf-8").splitlines()
    filed = SignedAnchor.read(line)
    assert filed.line == stored.line
    assert filed.is_genuine()
    head = Link.objects.order_by("-seq").first()
    assert head is not None
    assert (filed.facts["seq"], filed.facts["hash"]) == (2, head.hash)
    assert journal.stat().st_mode & 0o077 == 0


def test_a_changed_anchor_is_no_longer_genuine(journal: Path) -> None:
    make.chained(1)
    raw = json.loads(journal.read_text("utf-8"))
    raw["line"] = raw["line"].replace('"seq": 1', '"seq": 2')
    assert not SignedAnchor.read(json.dumps(raw)).is_genuine()


def test_anchors_name_the_one_before(journal: Path) -> None:
    make.chained(1)
    make.chained(1)
    first, second = Anchor.objects.order_by("number")
    assert json.loads(second.line)["previous"] == first.digest
    assert json.loads(first.line)["previous"] == GENESIS


def test_an_unmoved_head_needs_no_second_anchor(journal: Path) -> None:
    make.chained(1)
    office = make.in_office()
    office.chain()
    assert office.anchor(at=NOON) is None
    office.drop()
    assert Anchor.objects.count() == 1


def test_a_crash_between_table_and_file_is_mended(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.chained(1)

    def lost_power(*_: object) -> None:
        raise OSError("no power")

    with monkeypatch.context() as crash:
        crash.setattr(anchors, "append_to_file", lost_power)
        with pytest.raises(OSError, match="no power"):
            make.chained(1)
    assert len(journal.read_text("utf-8").splitlines()) == 1
    make.wipe_offices()
    make.chained(1)
    numbers = [anchor.facts["number"] for _, anchor in anchors.file_lines() if anchor]
    assert numbers == [1, 2, 3]


def test_leaving_office_chains_and_anchors_the_rest(journal: Path) -> None:
    office = make.in_office()
    make.act()
    office.leave_office()
    assert Link.objects.count() == 1
    assert Anchor.objects.get().kind == "stop"


def test_the_thread_chains_within_five_seconds_and_stops_when_told(journal: Path) -> None:
    stop = threading.Event()
    thread = clerk.start_in_thread(stop)
    make.act()
    deadline = time.monotonic() + 5
    while not Link.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Link.objects.count() == 1
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    state = queries.chain_state()
    assert (state.seq, state.unchained) == (1, 0)
    assert state.anchor is not None


def test_a_killed_connection_is_survived(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk, "PAUSE", 0.05)
    stop = threading.Event()
    thread = clerk.start_in_thread(stop)
    make.act()
    deadline = time.monotonic() + 10
    while not Link.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'kangwei-clerk' AND datname = current_database()"
    )
    make.act()
    while Link.objects.count() < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join(10)
    assert Link.objects.count() == 2


def test_unchained_lines_are_counted_for_the_health_page(journal: Path) -> None:
    make.chained(2)
    make.act()
    state = queries.chain_state()
    assert (state.seq, state.unchained) == (2, 1)
    assert state.oldest_unchained_at is not None
