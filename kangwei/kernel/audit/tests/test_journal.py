"""Acts and changes in one journal: what is written, by whatever way the rows were changed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.db.utils import ProgrammingError

from kangwei.kernel.audit import install, registry, services
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.audit.rules.chain import canonical, utc_text
from kangwei.kernel.audit.tests import make
from kangwei.kernel.audit.tests.make import NOON, sql
from kangwei.kernel.calendar.models import LocalCalendar, Override
from kangwei.kernel.crypto.models import Key

pytestmark = pytest.mark.django_db


def changes(**conditions: Any) -> list[Entry]:
    return list(Entry.objects.filter(kind="change", **conditions).order_by("id"))


class Person:
    """What the journal asks of an account."""

    is_authenticated = True
    pk = 7

    def journal_label(self) -> str:
        return "王医生（xa-wang）"

    def journal_roles(self) -> str:
        return "管理员、审计员"


# Acts ---------------------------------------------------------------------------------------


def test_an_act_says_who_what_which_from_where_and_why() -> None:
    ward = make.calendar()
    with services.origin(
        channel="web", address="10.1.2.3", session="secret-key", trace_id="t-1", agent="Firefox"
    ):
        made = services.record(
            act="test.thing.done",
            subject=ward,
            by=Person(),
            at=NOON,
            reason="演示",
            detail={"n": 1},
        )
    entry = Entry.objects.get(pk=made.entry_id)
    assert (entry.account_id, entry.account_label, entry.roles) == (
        7, "王医生（xa-wang）", "管理员、审计员",
    )  # fmt: skip
    assert (entry.object_type, entry.object_id, entry.object_label) == (
        "calendar.localcalendar", "ward", "病区日历",
    )  # fmt: skip
    assert (entry.channel, entry.address, entry.trace_id, entry.agent) == (
        "web", "10.1.2.3", "t-1", "Firefox",
    )  # fmt: skip
    assert entry.occurred_at == NOON
    assert (entry.reason, entry.detail, entry.result) == ("演示", {"n": 1}, "done")
    assert "secret" not in entry.session
    assert len(entry.session) == 16


def test_an_inner_origin_keeps_what_it_does_not_state() -> None:
    with services.origin(channel="web", address="10.1.2.3"):
        with services.origin(trace_id="t-9") as inside:
            assert (inside.channel, inside.address, inside.trace_id) == ("web", "10.1.2.3", "t-9")
        assert services.current_origin().trace_id == ""
    assert services.current_origin() == services.Origin()


def test_personal_data_are_masked_before_they_are_written() -> None:
    made = services.record(
        act="test.thing.done",
        at=NOON,
        personal={"phone": "13812345678", "id_number": "610113199003078888", "note": "糖尿病"},
    )
    assert Entry.objects.get(pk=made.entry_id).detail == {
        "phone": "138****5678",
        "id_number": "610113********8888",
        "note": "***",
    }


def test_an_act_without_title_cannot_be_recorded() -> None:
    with pytest.raises(LookupError, match=r"test\.thing\.unheard"):
        services.record(act="test.thing.unheard", at=NOON)


def test_maintenance_of_reference_data_is_titled_by_its_model() -> None:
    assert services.act_title("calendar.localcalendar.changed") == "修改本地日历"
    services.record(act="calendar.localcalendar.created", at=NOON)


def test_one_act_has_one_title() -> None:
    with pytest.raises(ValueError, match="already titled"):
        services.register_acts({"test.thing.done": "另一个名字"})
    with pytest.raises(ValueError, match="no act name"):
        services.register_acts({"Done!": "完成"})


def test_unmasking_needs_a_reason_and_names_the_fields() -> None:
    ward = make.calendar()
    with pytest.raises(ValueError, match="reason"):
        services.record_unmask(subject=ward, fields=["phone"], by=Person(), at=NOON, reason=" ")
    made = services.record_unmask(
        subject=ward, fields=["phone"], by=Person(), at=NOON, reason="电话随访"
    )
    assert Entry.objects.get(pk=made.entry_id).detail == {"fields": ["phone"]}


def test_an_export_tells_what_left_and_how_much() -> None:
    made = services.record_export(
        what="账号列表", by=Person(), at=NOON, rows=12, format="xlsx", detail={"query": "q=王"}
    )
    detail = Entry.objects.get(pk=made.entry_id).detail
    assert detail == {"what": "账号列表", "rows": 12, "format": "xlsx", "query": "q=王"}


def test_a_zero_character_does_not_stop_the_journal() -> None:
    made = services.record(
        act="test.thing.done", at=NOON, reason="甲\x00乙", detail={"a\x00": ["\x00"]}
    )
    entry = Entry.objects.get(pk=made.entry_id)
    assert entry.reason == "甲\ufffd乙"
    assert entry.detail == {"a\ufffd": ["\ufffd"]}


def test_a_done_act_outside_a_transaction_is_a_mistake(journal: Path) -> None:
    with pytest.raises(TransactionManagementError):
        services.record(act="test.thing.done", at=NOON)
    assert services.record(act="test.thing.done", at=NOON, result="refused").entry_id


# Changes ------------------------------------------------------------------------------------


def test_changed_rows_carry_the_id_of_their_act_and_the_next_act_gets_its_own() -> None:
    make.calendar("one")
    first = services.record(act="test.thing.done", at=NOON)
    make.calendar("two")
    second = services.record(act="test.thing.done", at=NOON)
    assert first.act_id != second.act_id
    assert [(c.object_id, c.act_id) for c in changes(object_type="calendar.localcalendar")] == [
        ("one", first.act_id),
        ("two", second.act_id),
    ]


def test_an_inserted_row_is_noted_whole() -> None:
    ward = make.calendar()
    Override.objects.create(
        calendar=ward, day=date(2026, 5, 9), version=1, working=None, note="停诊", recorded_at=NOON
    )
    (change,) = changes(object_type="calendar.override")
    assert change.operation == "I"
    assert change.before is None
    assert change.after is not None
    assert change.after["note"] == "停诊"
    assert change.after["working"] is None
    assert change.after["day"] == "2026-05-09"


def test_an_update_notes_only_what_changed() -> None:
    make.calendar()
    LocalCalendar.objects.filter(pk="ward").update(name="新名")
    (change,) = changes(operation="U")
    assert (change.before, change.after) == ({"name": "病区日历"}, {"name": "新名"})


def test_an_update_that_changes_nothing_is_not_noted() -> None:
    make.calendar()
    LocalCalendar.objects.update(name="病区日历")
    assert changes(operation="U") == []


def test_a_bulk_update_notes_each_row() -> None:
    for code in ("one", "two", "three"):
        make.calendar(code)
    assert LocalCalendar.objects.exclude(pk="two").update(name="改") == 2
    assert sorted(change.object_id for change in changes(operation="U")) == ["one", "three"]


def test_a_changed_key_shows_as_one_row_gone_and_one_come() -> None:
    make.calendar("old")
    sql("UPDATE calendar_localcalendar SET code = 'new' WHERE code = 'old'")
    told = {
        (c.operation, c.object_id) for c in changes() if c.operation != "I" or c.object_id == "new"
    }
    assert told == {("D", "old"), ("I", "new")}


def test_a_deleted_row_is_noted_with_what_it_was() -> None:
    make.calendar().delete()
    (change,) = changes(operation="D")
    assert change.before == {"code": "ward", "name": "病区日历"}


def test_rows_that_come_by_copy_are_noted() -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY calendar_localcalendar (code, name) FROM STDIN") as copy,
    ):
        for number in range(3):
            copy.write_row((f"c{number}", "批量"))
    assert [change.object_id for change in changes(operation="I")] == ["c0", "c1", "c2"]
    assert len({change.act_id for change in changes()}) == 1


def test_truncate_notes_every_row_and_itself() -> None:
    make.calendar("one")
    make.calendar("two")
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    sql("TRUNCATE calendar_localcalendar, calendar_override")
    told = [(c.operation, c.object_id) for c in changes() if c.operation in "DT"]
    assert told == [("D", "one"), ("D", "two"), ("T", "")]


def test_hidden_columns_show_that_they_changed_and_never_what() -> None:
    key = Key.objects.get(purpose="field", state="active")
    Key.objects.filter(pk=key.pk).update(wrapped="sm4:AAAA", algorithm="aes")
    (change,) = changes(object_type="crypto.key")
    assert change.before == {"wrapped": "***", "algorithm": key.algorithm}
    assert change.after == {"wrapped": "***", "algorithm": "aes"}


def test_a_rolled_back_act_leaves_no_line() -> None:
    def fail_halfway() -> None:
        with transaction.atomic():
            make.calendar()
            services.record(act="test.thing.done", at=NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert not Entry.objects.filter(object_type="calendar.localcalendar").exists()
    assert not Entry.objects.filter(act="test.thing.done").exists()


def test_changes_of_a_rolled_back_part_do_not_lend_their_act_to_the_next() -> None:
    make.calendar("kept")
    try:
        with transaction.atomic():
            make.calendar("lost")
            services.record(act="test.thing.begun", at=NOON)
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    made = services.record(act="test.thing.done", at=NOON)
    (change,) = changes(object_type="calendar.localcalendar")
    assert (change.object_id, change.act_id) == ("kept", made.act_id)


# Append-only --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET reason = 'x'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "TRUNCATE audit_entry_default",
        "TRUNCATE audit_link_default",
        "DELETE FROM audit_book",
        "UPDATE audit_book SET opened_at = now()",
        "TRUNCATE audit_anchor CASCADE",
    ],
)
def test_the_journal_refuses_everything_but_new_lines(statement: str) -> None:
    services.record(act="test.thing.done", at=NOON)
    with pytest.raises(ProgrammingError, match="只能追加"), transaction.atomic():
        sql(statement)


def test_the_orm_refuses_as_well() -> None:
    for method in ("update", "delete", "create"):
        with pytest.raises(TypeError, match="只能追加"):
            getattr(Entry.objects.all(), method)()


# The canonical text -------------------------------------------------------------------------


def test_postgresql_and_python_spell_an_entry_alike() -> None:
    make.calendar("quote", '引号 " 反斜杠 \\ 换行\n制表\t控制\x01')
    services.record(
        act="test.thing.done",
        at=NOON,
        by=Person(),
        reason="甲\u2028乙 </script> 🩺",
        detail={"z": [1, -2, "0.50", None, True], "ab": {}, "b": [], "中文": {"数": 10**20}},
    )
    sql(
        "INSERT INTO audit_entry (kind, act, detail)"
        " VALUES ('digest', 'test.thing.done',"
        ' \'{"n": 12.50, "m": 1e3, "big": 123456789012345678901234567890.5}\')'
    )
    columns = [field.attname for field in Entry._meta.concrete_fields]
    for row in Entry.objects.order_by("id"):
        (text,) = sql("SELECT audit_canonical(e) FROM audit_entry e WHERE id = %s", row.pk)[0]
        # Numbers as PostgreSQL stores them: exact decimals.
        stored = sql("SELECT detail::text FROM audit_entry WHERE id = %s", row.pk)[0][0]
        from kangwei.kernel.audit.rules.chain import parse

        values = {name: getattr(row, name) for name in columns}
        values["act_id"] = str(row.act_id) if row.act_id else None
        values["detail"] = parse(stored) if stored else None
        for name in ("recorded_at", "occurred_at"):
            values[name] = utc_text(values[name])
        assert canonical(values) == text


# Installation -------------------------------------------------------------------------------


def test_installing_again_changes_nothing() -> None:
    with connection.cursor() as cursor:
        install.install_triggers(cursor)
        assert install.install_triggers(cursor) == 0


def test_a_trigger_taken_away_comes_back_and_a_foreign_one_goes() -> None:
    with connection.cursor() as cursor:
        install.install_triggers(cursor)
        cursor.execute("DROP TRIGGER kw_audit_update ON calendar_override")
        cursor.execute(
            "CREATE TRIGGER kw_audit_delete AFTER DELETE ON django_content_type"
            " REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT"
            " EXECUTE FUNCTION audit_note_changes('x.y', 'id', '{}')"
        )
        assert install.install_triggers(cursor) == 2
        assert install.install_triggers(cursor) == 0


def test_every_registered_model_is_either_journalled_or_exempt_with_a_reason() -> None:
    assert registry.exemptions()["audit_verification"]
    tables = {item.table for item in registry.journalled()}
    assert {"calendar_override", "crypto_key"} <= tables
    with pytest.raises(ValueError, match="reason"):
        services.exempt(LocalCalendar, reason="")
    assert (
        registry.unregistered_models(lambda module: module.startswith("kangwei.kernel.calendar"))
        == []
    )


def test_months_ahead_stand_ready_and_are_made_once() -> None:
    services.ensure_partitions(ahead=5)
    assert services.ensure_partitions(ahead=5) == 0


def test_rows_of_the_default_partition_are_carried_over_when_their_month_is_made(
    journal: Path,
) -> None:
    with make.tampering():
        sql(
            "INSERT INTO audit_entry (recorded_at, kind, act) VALUES"
            " ('2031-02-03 04:05:06Z', 'digest', 'test.thing.done')"
        )
    assert sql("SELECT count(*) FROM audit_entry_default") == [(1,)]
    try:
        assert sql("SELECT audit_ensure_month('audit_entry', '2031-02-01')") == [(True,)]
        assert sql("SELECT count(*) FROM audit_entry_2031_02") == [(1,)]
        assert sql("SELECT count(*) FROM audit_entry_default") == [(0,)]
        with pytest.raises(ProgrammingError, match="只能追加"):
            sql("TRUNCATE audit_entry_2031_02")
    finally:
        sql("DROP TABLE audit_entry_2031_02")
