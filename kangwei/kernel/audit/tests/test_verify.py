"""Somebody lays hand on the journal; verification names what he did and where.

Every test really tampers, as the owner of the tables with the triggers taken away, or on the file.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from kangwei.kernel.audit import queries, registry, sealing, services
from kangwei.kernel.audit.models import Anchor, Entry, Link, Seal, Verification
from kangwei.kernel.audit.rules.chain import link_hash, sm3_hex
from kangwei.kernel.audit.rules.findings import Fault
from kangwei.kernel.audit.tests import make
from kangwei.kernel.audit.tests.make import NOON, sql
from kangwei.kernel.audit.verify import Report, verify


def found(report: Report | None = None) -> list[tuple[Fault, int | None]]:
    report = report or verify(at=NOON)
    return [(finding.fault, finding.seq) for finding in report.findings]


def rechain(first: int) -> None:
    """Compute every digest anew from this link on, as a thief with patience would."""
    previous = Link.objects.get(seq=first - 1).hash if first > 1 else "0" * 64
    for seq, text in sql(
        "SELECT l.seq, audit_canonical(e) FROM audit_link l JOIN audit_entry e"
        " ON e.id = l.entry_id WHERE l.seq >= %s ORDER BY l.seq",
        first,
    ):
        made = link_hash(previous, text)
        sql("UPDATE audit_link SET prev_hash = %s, hash = %s WHERE seq = %s", previous, made, seq)
        previous = made


def entry_of(seq: int) -> int:
    return int(Link.objects.get(seq=seq).entry_id)


def test_an_untouched_journal_is_sound(journal: Path) -> None:
    make.chained(5)
    report = verify(at=NOON)
    assert report.sound
    assert (report.first_seq, report.last_seq, report.links, report.unchained) == (1, 5, 5, 0)


def test_an_empty_journal_is_sound(journal: Path) -> None:
    assert verify(at=NOON).sound


def test_an_edited_row_is_named(journal: Path) -> None:
    make.chained(5)
    with make.tampering():
        sql("UPDATE audit_entry SET account_label = '别人' WHERE id = %s", entry_of(3))
    report = verify(at=NOON)
    assert found(report) == [(Fault.EDITED, 3)]
    assert report.findings[0].entry_id == entry_of(3)


@pytest.mark.parametrize(
    "column", ["reason", "occurred_at", "recorded_at", "tx", "detail", "db_user"]
)
def test_no_column_can_be_changed_unnoticed(journal: Path, column: str) -> None:
    make.chained(3)
    value = {
        "reason": "'x'",
        "occurred_at": "occurred_at + interval '1 microsecond'",
        "recorded_at": "recorded_at + interval '1 microsecond'",
        "tx": "tx + 1",
        "detail": "'{}'",
        "db_user": "'nobody'",
    }[column]
    with make.tampering():
        sql(f"UPDATE audit_entry SET {column} = {value} WHERE id = %s", entry_of(2))
    assert [seq for _, seq in found() if seq] == [2]


def test_a_deleted_row_is_named(journal: Path) -> None:
    make.chained(5)
    with make.tampering():
        sql("DELETE FROM audit_entry WHERE id = %s", entry_of(4))
    assert found() == [(Fault.DELETED, 4)]


def test_a_row_deleted_with_its_link_is_named(journal: Path) -> None:
    make.chained(5)
    with make.tampering():
        sql("DELETE FROM audit_entry WHERE id = %s", entry_of(4))
        sql("DELETE FROM audit_link WHERE seq = 4")
    assert found() == [(Fault.DELETED, 4)]


def test_a_row_slipped_in_without_a_link_is_named(journal: Path) -> None:
    make.chained(5)
    with make.tampering():
        sql(
            "INSERT INTO audit_entry (recorded_at, kind, act, act_id, tx)"
            " SELECT recorded_at, kind, act, gen_random_uuid(), tx FROM audit_entry WHERE id = %s",
            entry_of(2),
        )
    report = verify(at=NOON)
    assert found(report) == [(Fault.INSERTED, None)]
    assert report.unchained == 0


def test_a_row_linked_falsely_is_named(journal: Path) -> None:
    """The forger computes the right digest and makes room for his link."""
    make.chained(4)
    with make.tampering():
        sql("UPDATE audit_link SET seq = seq + 1 WHERE seq > 2")
        ((forged, text),) = sql(
            "INSERT INTO audit_entry (kind, act, act_id) VALUES ('act', 'test.thing.done',"
            " gen_random_uuid()) RETURNING id, audit_canonical(audit_entry)"
        )
        before = Link.objects.get(seq=2).hash
        sql(
            "INSERT INTO audit_link (seq, entry_id, entry_recorded_at, prev_hash, hash)"
            " SELECT 3, id, recorded_at, %s, %s FROM audit_entry WHERE id = %s",
            before, link_hash(before, text), forged,
        )  # fmt: skip
    report = verify(at=NOON)
    assert (Fault.INSERTED, 3) in found(report)
    assert any(str(forged) in finding.message for finding in report.findings)


def test_an_entry_linked_a_second_time_is_named(journal: Path) -> None:
    make.chained(3, anchor=False)
    with make.tampering():
        last = Link.objects.get(seq=3)
        (text,) = sql("SELECT audit_canonical(e) FROM audit_entry e WHERE id = %s", entry_of(1))[0]
        sql(
            "INSERT INTO audit_link (seq, entry_id, entry_recorded_at, prev_hash, hash)"
            " SELECT 4, entry_id, entry_recorded_at, %s, %s FROM audit_link WHERE seq = 1",
            last.hash, link_hash(last.hash, text),
        )  # fmt: skip
    assert found() == [(Fault.INSERTED, 4)]


def test_swapped_rows_are_named(journal: Path) -> None:
    make.chained(5)
    one, two = entry_of(2), entry_of(4)
    with make.tampering():
        sql(
            "UPDATE audit_entry a SET act_id = b.act_id, reason = b.reason, tx = b.tx,"
            " occurred_at = b.occurred_at FROM audit_entry b"
            " WHERE a.id IN (%s, %s) AND b.id IN (%s, %s) AND a.id <> b.id",
            one, two, one, two,
        )  # fmt: skip
    assert found() == [(Fault.SWAPPED, 2)]


def test_a_cut_tail_is_named_by_the_anchor_beyond_it(journal: Path) -> None:
    make.chained(5)
    with make.tampering():
        sql("DELETE FROM audit_entry WHERE id >= %s", entry_of(4))
        sql("DELETE FROM audit_link WHERE seq >= 4")
    report = verify(at=NOON)
    assert found(report) == [(Fault.CUT, 4)]
    assert "曾到第 5 号" in report.findings[0].message


def test_cutting_tail_and_anchor_leaves_the_file_to_tell(journal: Path) -> None:
    make.chained(3)
    make.chained(2)
    with make.tampering():
        sql("DELETE FROM audit_entry WHERE id >= %s", entry_of(4))
        sql("DELETE FROM audit_link WHERE seq >= 4")
        sql("DELETE FROM audit_anchor WHERE number = 2")
    assert set(found()) == {(Fault.ANCHOR_MISSING, 5), (Fault.CUT, 4)}


def test_a_rehashed_tail_is_named_by_the_anchor_it_no_longer_fits(journal: Path) -> None:
    make.chained(2)
    make.chained(3)
    with make.tampering():
        sql("UPDATE audit_entry SET reason = '改写' WHERE id = %s", entry_of(4))
        rechain(4)
    report = verify(at=NOON)
    assert found(report) == [(Fault.REHASHED, 5)]
    assert "在第 2 号之后" in report.findings[0].message


def test_a_deleted_row_with_everything_rehashed_is_named(journal: Path) -> None:
    make.chained(5)
    with make.tampering():
        sql("DELETE FROM audit_entry WHERE id = %s", entry_of(2))
        sql("DELETE FROM audit_link WHERE seq = 2")
        sql("UPDATE audit_link SET seq = seq - 1 WHERE seq > 2")
        rechain(2)
    assert found() == [(Fault.CUT, 5)]


def test_a_changed_anchor_is_named(journal: Path) -> None:
    make.chained(3)
    with make.tampering():
        sql("UPDATE audit_anchor SET hash = %s", "f" * 64)
    assert found() == [(Fault.ANCHOR_CHANGED, 3)]


def test_a_forged_anchor_does_not_carry_our_signature(journal: Path) -> None:
    make.chained(3)
    with make.tampering():
        sql("UPDATE audit_entry SET reason = '改写' WHERE id = %s", entry_of(2))
        rechain(2)
        anchor = Anchor.objects.get()
        head = Link.objects.get(seq=3).hash
        line = anchor.line.replace(anchor.hash, head)
        sql(
            "UPDATE audit_anchor SET hash = %s, line = %s, digest = %s",
            head, line, sm3_hex(line.encode()),
        )  # fmt: skip
    faults = {fault for fault, _ in found()}
    assert {Fault.ANCHOR_CHANGED, Fault.REHASHED} <= faults


def test_an_anchor_missing_in_the_middle_is_named(journal: Path) -> None:
    for _ in range(3):
        make.chained(1)
    with make.tampering():
        sql("DELETE FROM audit_anchor WHERE number = 2")
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join([lines[0], lines[2]]), "utf-8")
    report = verify(at=NOON)
    assert [finding.fault for finding in report.findings] == [Fault.ANCHOR_MISSING]
    assert "第 2 号" in report.findings[0].message


def test_a_line_missing_in_the_file_is_named(journal: Path) -> None:
    for _ in range(3):
        make.chained(1)
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join([lines[0], lines[2]]), "utf-8")
    assert [fault for fault, _ in found()] == [Fault.ANCHOR_MISSING]


def test_a_changed_line_in_the_file_is_named(journal: Path) -> None:
    make.chained(2)
    raw = json.loads(journal.read_text("utf-8"))
    raw["line"] = raw["line"].replace('"seq": 2', '"seq": 1')
    journal.write_text(json.dumps(raw) + "\n", "utf-8")
    assert Fault.ANCHOR_CHANGED in {fault for fault, _ in found()}


def test_an_unreadable_line_in_the_file_is_named(journal: Path) -> None:
    make.chained(2)
    with journal.open("a", encoding="utf-8") as file:
        file.write("{half a li\n")
    report = verify(at=NOON)
    assert found(report) == [(Fault.ANCHOR_CHANGED, None)]
    assert "第 2 行" in report.findings[0].message


def test_a_lost_file_is_named_until_its_new_beginning_is_an_act(journal: Path) -> None:
    make.chained(1)
    make.chained(1)
    journal.unlink()
    assert [fault for fault, _ in found()] == [Fault.ANCHOR_MISSING]
    services.restart_anchor_file(at=NOON, reason="磁盘损坏，已更换")
    make.chained(1)
    report = verify(at=NOON)
    assert report.sound
    assert any("自第 3 号锚点起重新开始" in remark for remark in report.remarks)


def test_lines_of_another_database_are_a_remark(journal: Path) -> None:
    make.chained(1)
    other = json.loads(journal.read_text("utf-8"))
    other["line"] = json.dumps({**json.loads(other["line"]), "book": "another"})
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps(other) + "\n")
    report = verify(at=NOON)
    assert report.sound
    assert any("其他数据库" in remark for remark in report.remarks)


def test_the_unchained_tail_is_told_with_its_age(journal: Path) -> None:
    make.chained(2)
    make.act()
    make.act()
    report = verify(at=datetime.now(UTC) + timedelta(seconds=90))
    assert report.sound
    assert report.unchained == 2
    assert report.oldest_unchained_at is not None
    assert any("2 条日志尚未入链" in remark and "9" in remark for remark in report.remarks)


def test_rows_changed_by_hand_are_remarked_with_the_hand(journal: Path) -> None:
    make.chained(1)
    hand = make.session()
    hand.execute("SET application_name = 'psql'")
    hand.execute("INSERT INTO calendar_localcalendar (code, name) VALUES ('byhand', '手工')")
    hand.commit()
    report = verify(at=NOON)
    assert report.sound
    (remark,) = [line for line in report.remarks if "无业务操作" in line]
    assert "本地日历 共 1 行" in remark
    assert "psql" in remark
    found_rows = queries.search(queries.Criteria(without_act=True))
    assert [item.entry.object_id for item in found_rows.items] == ["byhand"]


def test_a_part_of_the_chain_can_be_checked(journal: Path) -> None:
    make.chained(6)
    with make.tampering():
        sql("UPDATE audit_entry SET reason = '改' WHERE id IN (%s, %s)", entry_of(1), entry_of(4))
    assert found(verify(at=NOON, first=3, last=5)) == [(Fault.EDITED, 4)]
    assert found(verify(at=NOON, first=5)) == []
    assert found(verify(at=NOON, last=3)) == [(Fault.EDITED, 1)]


def test_long_chains_are_read_in_portions(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kangwei.kernel.audit.verify.BATCH", 3)
    make.chained(10)
    report = verify(at=NOON)
    assert (report.sound, report.links) == (True, 10)


# The command --------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("audit", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_answers_by_exit_code_and_keeps_the_result(journal: Path) -> None:
    make.chained(3)
    code, text = run("verify")
    assert code == 0
    assert "审计日志完好：核对第 1 至 3 号" in text
    with make.tampering():
        sql("UPDATE audit_entry SET reason = 'x' WHERE id = %s", entry_of(2))
    code, text = run("verify", "--from", "1", "--to", "3")
    assert code == 1
    assert "[记录被改动] 第 2 号" in text
    latest = Verification.objects.first()
    assert latest is not None
    assert not latest.sound
    assert latest.findings[0]["fault"] == "edited"
    assert Entry.objects.filter(act="audit.journal.verified").count() == 2


def test_the_command_says_when_the_role_could_alter_the_journal(journal: Path) -> None:
    assert not queries.append_only_enforced()  # tests run as the owner of the tables
    assert "未强制只追加" in run("verify")[1]
    assert "未强制只追加" in run("status")[1]


def test_a_role_with_insert_and_select_only_cannot_alter_the_journal(
    journal: Path, settings: Any
) -> None:
    from django.db import connection

    from kangwei.kernel.audit import install

    sql("DROP ROLE IF EXISTS kw_test_application")
    sql("CREATE ROLE kw_test_application")
    settings.APPLICATION_ROLE = "kw_test_application"
    try:
        with connection.cursor() as cursor:
            install.grant_privileges(cursor)
        assert queries.append_only_enforced()
        hand = make.session()
        hand.execute("SET ROLE kw_test_application")
        hand.execute("INSERT INTO audit_entry (kind, act) VALUES ('digest', 'test.thing.done')")
        hand.commit()
        for statement in (
            "UPDATE audit_entry SET reason = 'x'",
            "DELETE FROM audit_link",
            "TRUNCATE audit_entry",
            "INSERT INTO audit_entry (kind, act, tx) VALUES ('digest', 'test.thing.done', 1)",
            "INSERT INTO audit_entry_default (kind, act, recorded_at)"
            " VALUES ('digest', 'test.thing.done', '2020-01-01')",
            "ALTER TABLE audit_entry DISABLE TRIGGER USER",
        ):
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                hand.execute(statement)
            hand.rollback()
    finally:
        make.wipe_offices()
        sql("DROP OWNED BY kw_test_application")
        sql("DROP ROLE kw_test_application")


# Retention ----------------------------------------------------------------------------------


@pytest.fixture
def march(journal: Path) -> Any:
    """Three lines of March 2020 in partitions of their own, then the present."""
    for parent in ("audit_entry", "audit_link"):
        assert sql("SELECT audit_ensure_month(%s, '2020-03-01')", parent) == [(True,)]
    make.chained(3)
    with make.tampering():
        sql(
            "UPDATE audit_entry SET recorded_at ="
            " '2020-03-10 00:00:00.5Z'::timestamptz + id * interval '1 s'"
        )
        sql(
            "UPDATE audit_link l SET entry_recorded_at = e.recorded_at,"
            " chained_at = '2020-03-11Z'::timestamptz + seq * interval '1 s'"
            " FROM audit_entry e WHERE e.id = l.entry_id"
        )
        sql("DELETE FROM audit_anchor")
        rechain(1)
    journal.unlink()
    make.chained(2)
    yield sealing.Month.read("2020-03")
    make.wipe()
    for parent in ("audit_entry", "audit_link"):
        sql(f"DROP TABLE IF EXISTS {parent}_2020_03")


def test_a_sealed_month_keeps_its_final_anchor(march: sealing.Month) -> None:
    seal = services.seal_month(month="2020-03", at=NOON)
    assert (seal.first_seq, seal.last_seq, seal.entries) == (1, 3, 3)
    facts = json.loads(seal.anchor.line)
    assert (facts["kind"], facts["month"], facts["last_hash"]) == (
        "seal", "2020-03", Link.objects.get(seq=3).hash,
    )  # fmt: skip
    assert found() == []
    with pytest.raises(sealing.AlreadySealed):
        services.seal_month(month="2020-03", at=NOON)


def test_a_purged_month_is_accepted_by_its_seal(march: sealing.Month, tmp_path: Path) -> None:
    services.seal_month(month="2020-03", at=NOON)
    services.purge_month(month=march, at=NOON, archive=tmp_path / "2020-03.gz")
    assert (tmp_path / "2020-03.gz").stat().st_size > 100
    assert Seal.objects.get().purged_at is not None
    assert sql("SELECT to_regclass('audit_entry_2020_03')") == [(None,)]
    office = make.in_office()
    office.chain()
    report = verify(at=NOON)
    assert report.findings == []
    assert report.first_seq == 4
    assert any("2020-03 已封存并清理" in remark for remark in report.remarks)


def test_the_archive_can_be_checked_without_us(march: sealing.Month, tmp_path: Path) -> None:
    import gzip

    services.seal_month(month="2020-03", at=NOON)
    sealing.write_archive(Seal.objects.get(), tmp_path / "a.gz")
    with gzip.open(tmp_path / "a.gz", "rt", encoding="utf-8") as file:
        head, *lines = [json.loads(line) for line in file]
    previous = "0" * 64
    for line in lines:
        assert line["prev_hash"] == previous
        previous = link_hash(previous, line["entry"])
        assert line["hash"] == previous
    assert json.loads(head["anchor"])["last_hash"] == previous


def test_a_month_is_not_put_away_before_its_time(march: sealing.Month, settings: Any) -> None:
    with pytest.raises(sealing.NotSealed):
        services.purge_month(month=march, at=NOON)
    services.seal_month(month="2020-03", at=NOON)
    settings.AUDIT_KEPT_MONTHS = 6
    assert sealing.kept_until(march) == date(2020, 10, 1)
    with pytest.raises(sealing.StillKept, match="2020-10-01"):
        services.purge_month(month=march, at=datetime(2020, 9, 30, 15, 59, tzinfo=UTC))
    with pytest.raises(sealing.MonthNotOver):
        services.seal_month(month="2026-11", at=NOON)


def test_a_faulty_month_is_not_put_away(march: sealing.Month) -> None:
    services.seal_month(month="2020-03", at=NOON)
    with make.tampering():
        sql("UPDATE audit_entry SET reason = '改' WHERE id = %s", entry_of(2))
    with pytest.raises(sealing.NotSound):
        services.purge_month(month=march, at=NOON)
    assert sql("SELECT to_regclass('audit_entry_2020_03') IS NOT NULL") == [(True,)]


def test_a_seal_cannot_be_rewritten(march: sealing.Month) -> None:
    from django.db.utils import ProgrammingError

    services.seal_month(month="2020-03", at=NOON)
    for statement in ("UPDATE audit_seal SET last_seq = 2", "DELETE FROM audit_seal"):
        with pytest.raises(ProgrammingError, match="只能追加"):
            sql(statement)


def test_the_commands_seal_and_refuse_in_words(march: sealing.Month) -> None:
    assert "2020-03 已封存：3 条" in run("seal-month", "2020-03")[1]
    with pytest.raises(CommandError, match="已经封存"):
        run("seal-month", "2020-03")
    with pytest.raises(CommandError, match="应形如 2026-03"):
        run("seal-month", "march")
    assert "已清理" in run("purge-month", "2020-03")[1]


# Segments -----------------------------------------------------------------------------------


@pytest.fixture
def samples(journal: Path) -> Any:
    sql("CREATE TABLE kw_samples (id int, at timestamptz, value numeric, note text)")
    sql(
        "INSERT INTO kw_samples"
        " SELECT g, '2026-11-20 00:30:00Z'::timestamptz + g * interval '20 min',"
        " g * 1.5, '甲' FROM generate_series(0, 5) g"
    )
    services.segment("kw_samples", "at", ["id", "at", "value"], kept_for=timedelta(days=90))
    yield
    registry._segments.pop("kw_samples")
    sql("DROP TABLE kw_samples")


THREE = datetime(2026, 11, 20, 3, 30, tzinfo=UTC)


def test_each_finished_hour_gets_one_digest(samples: None) -> None:
    assert services.seal_segments(datetime(2026, 11, 20, 1, 5, tzinfo=UTC)) == 0  # may still commit
    assert services.seal_segments(datetime(2026, 11, 20, 1, 10, tzinfo=UTC)) == 1
    assert services.seal_segments(THREE) == 2
    assert services.seal_segments(THREE) == 0
    told = [
        (entry.object_id, entry.detail["rows"])
        for entry in Entry.objects.filter(kind="digest", object_type="kw_samples").order_by("id")
    ]
    assert told == [
        ("2026-11-20T00:00:00.000000Z", 2),
        ("2026-11-20T01:00:00.000000Z", 3),
        ("2026-11-20T02:00:00.000000Z", 1),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kw_samples SET value = 99 WHERE id = 3",
        "DELETE FROM kw_samples WHERE id = 3",
        "INSERT INTO kw_samples VALUES (9, '2026-11-20 01:59:59Z', 1, '')",
    ],
)
def test_a_changed_hour_is_named(samples: None, statement: str) -> None:
    services.seal_segments(THREE)
    assert found(verify(at=THREE)) == []
    sql(statement)
    report = verify(at=THREE)
    assert found(report) == [(Fault.SEGMENT, None)]
    assert "2026-11-20 01:00" in report.findings[0].message


def test_unwatched_columns_and_cleared_old_hours_are_no_finding(samples: None) -> None:
    services.seal_segments(THREE)
    sql("UPDATE kw_samples SET note = '乙'")
    assert verify(at=THREE).sound
    sql("DELETE FROM kw_samples")
    assert not verify(at=THREE).sound
    assert verify(at=THREE + timedelta(days=91)).sound
