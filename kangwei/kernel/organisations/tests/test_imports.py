"""Bulk import: judged row by row, written only when confirmed, once, with reasons for the rest."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from kangwei.kernel.jobs.models import Cancelled, Run
from kangwei.kernel.jobs.tasks import perform_run
from kangwei.kernel.organisations.models import (
    Account,
    ImportBatch,
    ImportKind,
    ImportRow,
    Institution,
    Staff,
)
from kangwei.kernel.organisations.services import importing
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.screens.uploads import UploadRefused

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
INSTITUTIONS, ACCOUNTS = "organisations.import_institution", "organisations.import_account"


def sheet(kind: str, rows: list[dict[str, object]]) -> io.BytesIO:
    columns = importing.COLUMNS[kind]
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append([column.heading for column in columns])
    for row in rows:
        page.append([row.get(column.key) for column in columns])
    out = io.BytesIO()
    book.save(out)
    out.seek(0)
    return out


@pytest.fixture
def county() -> Institution:
    return make.institution("雁塔区疾控中心", code="610113", region=make.region("610113000000"))


@pytest.fixture
def chief(county: Institution) -> Account:
    rights = [INSTITUTIONS, ACCOUNTS, "organisations.grant_role", "organisations.view_institution"]
    return make.account("chief", institution=county, right=rights)


def clinic(code: str, **more: object) -> dict[str, object]:
    given: dict[str, object] = {
        "code": code, "name": f"{code}门诊", "kind": "常规接种门诊", "region": "610113",
        "parent": "610113",
    }  # fmt: skip
    return given | more


def upload(kind: str, rows: list[dict[str, object]], by: Account) -> ImportBatch:
    return importing.upload(kind=kind, file=sheet(kind, rows), name="表.xlsx", by=by, at=AT)


def reasons(batch: ImportBatch) -> dict[int, str]:
    return {
        row.number: importing.told(row.number, row.problems)
        for row in batch.rows.order_by("number")
        if row.problems
    }


def test_three_bad_rows_are_named_and_only_the_good_ones_come_in(chief: Account) -> None:
    make.institution("外单位", code="FOREIGN")
    rows = [
        clinic("C1"),
        clinic("C2", kind="飞船"),
        clinic("C3", parent="C1"),
        clinic("C1"),
        clinic("C4", parent="FOREIGN", uscc="91350100M000100Y44"),
        clinic("C5", opened_on=datetime(2026, 1, 1), telephone="029-82220000"),
    ]
    batch = upload(ImportKind.INSTITUTIONS, rows, chief)
    found = reasons(batch)
    assert set(found) == {3, 5, 6}
    assert "机构类别：没有类别“飞船”" in found[3]
    assert "与第 2 行重复" in found[5]
    assert "上级机构编码" in found[6]
    assert "统一社会信用代码" in found[6]
    assert not Institution.objects.filter(code__startswith="C").exists()

    importing.confirm(batch=batch, by=chief, at=AT)
    codes = set(Institution.objects.filter(code__startswith="C").values_list("code", flat=True))
    assert codes == {"C1", "C3", "C5"}
    assert Institution.objects.get(code="C3").closure_above.count() == 3

    book = openpyxl.load_workbook(io.BytesIO(importing.bad_rows(batch)))
    lines = list(book.worksheets[0].iter_rows(values_only=True))
    assert lines[0][-1] == importing.REASON
    assert [line[0] for line in lines[1:]] == ["C2", "C1", "C4"]


def test_confirming_twice_writes_once(chief: Account) -> None:
    batch = upload(ImportKind.INSTITUTIONS, [clinic("C1")], chief)
    first = importing.confirm(batch=batch, by=chief, at=AT)
    again = importing.confirm(batch=batch, by=chief, at=AT)
    assert (first.written, again.written) == (1, 1)
    assert Institution.objects.filter(code="C1").count() == 1


def test_what_changed_since_the_preview_is_judged_again(chief: Account) -> None:
    batch = upload(ImportKind.INSTITUTIONS, [clinic("C1"), clinic("C2")], chief)
    make.institution(code="C1")
    done = importing.confirm(batch=batch, by=chief, at=AT)
    assert done.written == 1
    assert "已登记" in reasons(done)[2]


def test_accounts_come_with_person_and_role(chief: Account, county: Institution) -> None:
    rows: list[dict[str, object]] = [
        {"username": "wangxy", "name": "王秀英", "institution": "610113", "phone": 16400000001,
         "role": "接种门诊登记员"},
        {"username": "WANGXY", "name": "重名", "institution": "610113"},
        {"username": "zhao", "name": "赵", "institution": "NOWHERE", "id_number": "1"},
        {"username": "li", "name": "李", "institution": "610113", "role": "审计员"},
        {"name": "无名", "institution": "610113", "valid_until": "2020-01-01"},
    ]  # fmt: skip
    batch = upload(ImportKind.ACCOUNTS, rows, chief)
    assert set(reasons(batch)) == {3, 4, 5, 6}
    importing.confirm(batch=batch, by=chief, at=AT)
    account = Account.objects.get(username="wangxy")
    assert account.staff == Staff.objects.get(phone="16400000001")
    assert account.must_change_password
    assert account.grants.get().role.code == "registrar"
    assert not Account.objects.filter(username__in=["zhao", "li"]).exists()


def test_one_time_passwords_are_taken_away_once(chief: Account) -> None:
    rows: list[dict[str, object]] = [{"username": "sun", "name": "孙", "institution": "610113"}]
    batch = importing.confirm(batch=upload(ImportKind.ACCOUNTS, rows, chief), by=chief, at=AT)
    assert importing.has_passwords(batch)
    book = openpyxl.load_workbook(
        io.BytesIO(importing.take_passwords(batch=batch, by=chief, at=AT))
    )
    _, line = book.worksheets[0].iter_rows(values_only=True)
    assert Account.objects.get(username="sun").check_password(str(line[3]))
    assert not importing.has_passwords(batch)
    with pytest.raises(importing.PasswordsTaken):
        importing.take_passwords(batch=batch, by=chief, at=AT)


def test_a_role_beyond_the_importers_own_power_keeps_the_row_out(chief: Account) -> None:
    rows: list[dict[str, object]] = [
        {"username": "li", "name": "李", "institution": "610113", "role": "县级管理员"},
        {"username": "sun", "name": "孙", "institution": "610113"},
    ]
    batch = importing.confirm(batch=upload(ImportKind.ACCOUNTS, rows, chief), by=chief, at=AT)
    assert batch.written == 1
    assert "超出您自己拥有的" in reasons(batch)[2]
    assert not Account.objects.filter(username="li").exists()
    assert not Staff.objects.filter(name="李").exists()


def test_values_are_encrypted_while_they_wait(chief: Account) -> None:
    from django.db import connection

    rows: list[dict[str, object]] = [
        {"username": "sun", "name": "孙", "institution": "610113", "phone": "16400000009"}
    ]
    upload(ImportKind.ACCOUNTS, rows, chief)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(content, '') FROM organisations_importrow")
        assert "16400000009" not in cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"not a workbook", "a.xlsx"),
        (b"PK\x03\x04broken", "a.xlsx"),
        (b"x", "a.exe"),
        (b"", "a.xlsx"),
    ],
)
def test_what_is_no_workbook_is_refused(chief: Account, content: bytes, name: str) -> None:
    with pytest.raises(UploadRefused):
        importing.upload(
            kind=ImportKind.ACCOUNTS, file=io.BytesIO(content), name=name, by=chief, at=AT
        )
    assert ImportBatch.objects.count() == 0


def test_a_sheet_without_a_needed_column_or_rows_is_refused(chief: Account) -> None:
    with pytest.raises(importing.SheetUnreadable, match="用户名"):
        importing.upload(
            kind=ImportKind.ACCOUNTS, file=sheet(ImportKind.INSTITUTIONS, [clinic("C1")]),
            name="a.xlsx", by=chief, at=AT,
        )  # fmt: skip
    with pytest.raises(importing.NothingToImport):
        upload(ImportKind.ACCOUNTS, [], chief)


@pytest.mark.parametrize("kind", ImportKind.values)
def test_the_template_reads_back_with_its_own_example(kind: str) -> None:
    rows = importing.read_rows(io.BytesIO(importing.template(kind)), kind)
    assert [number for number, _ in rows] == [2]
    assert all(rows[0][1][c.key] for c in importing.COLUMNS[kind] if c.required)


def test_the_whole_way_through_the_pages(chief: Account) -> None:
    browser = make.client(chief)
    start = reverse("organisations:imports", args=["institutions"])
    assert "下载机构导入模板" in browser.get(start).content.decode()
    assert browser.get(f"{start}template/").status_code == 200
    content = sheet(ImportKind.INSTITUTIONS, [clinic("C1"), clinic("C2", kind="飞船")]).getvalue()
    sent = browser.post(start, {"file": SimpleUploadedFile("机构.xlsx", content)})
    page = browser.get(sent["Location"]).content.decode()
    assert "没有类别“飞船”" in page
    assert "确认导入 1 行" in page
    batch = ImportBatch.objects.get()
    assert browser.get(reverse("organisations:import_bad_rows", args=[batch.pk])).status_code == 200
    browser.post(reverse("organisations:confirm_import", args=[batch.pk]))
    assert Institution.objects.filter(code="C1").exists()
    refused = browser.post(reverse("organisations:discard_import", args=[batch.pk]))
    assert refused.status_code == 302
    assert Institution.objects.filter(code="C1").exists()


def test_an_upload_belongs_to_who_brought_it_and_the_right_is_needed(chief: Account) -> None:
    batch = upload(ImportKind.INSTITUTIONS, [clinic("C1")], chief)
    other = make.account(right=[INSTITUTIONS, ACCOUNTS])
    passwords = reverse("organisations:import_passwords", args=[batch.pk])
    assert make.client(other).post(passwords).status_code == 404
    for name in ("import_batch", "import_bad_rows"):
        address = reverse(f"organisations:{name}", args=[batch.pk])
        assert make.client(other).get(address).status_code == 404
    confirm = reverse("organisations:confirm_import", args=[batch.pk])
    assert make.client(other).post(confirm).status_code == 404
    nobody = make.client(make.account())
    assert nobody.get(reverse("organisations:imports", args=["accounts"])).status_code == 403
    assert Client().get(reverse("organisations:imports", args=["accounts"])).status_code == 302


# Large sheets


def large(chief: Account, count: int = 5) -> ImportBatch:
    return upload(ImportKind.INSTITUTIONS, [clinic(f"L{n}") for n in range(count)], chief)


def test_many_rows_are_written_by_a_run_that_shows_how_far_it_is(
    chief: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 4)
    batch = large(chief)
    browser = make.client(chief)
    page = reverse("organisations:import_batch", args=[batch.pk])
    browser.post(reverse("organisations:confirm_import", args=[batch.pk]))
    assert not Institution.objects.filter(code="L0").exists()
    assert "正在后台写入" in browser.get(page).content.decode()
    run = Run.objects.get(kind=importing.RUN_KIND)
    assert importing.confirm(batch=batch, by=chief, at=AT).state == "preview"
    assert Run.objects.count() == 1, "pressed twice, one run"
    with pytest.raises(importing.BatchAlreadyDecided):
        importing.discard(batch=batch, by=chief, at=AT)
    perform_run(run_id=run.pk)
    run.refresh_from_db()
    assert (run.state, run.result) == ("done", {"batch": batch.pk, "written": 5})
    ended = browser.get(reverse("organisations:import_progress", args=[batch.pk]))
    assert ended["HX-Refresh"] == "true"
    assert "导入完成" in browser.get(page).content.decode()


def test_a_run_that_is_called_again_goes_on_where_it_stopped(
    chief: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 0)
    monkeypatch.setattr(importing, "AT_A_TIME", 2)
    batch = large(chief)
    importing.confirm(batch=batch, by=chief, at=AT)
    run = Run.objects.get(kind=importing.RUN_KIND)
    whole = importing._take_over
    taken: list[int] = []

    def killed(row: ImportRow, *rest: Any) -> None:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(row.number)
        whole(row, *rest)

    monkeypatch.setattr(importing, "_take_over", killed)
    Run.objects.filter(pk=run.pk).update(state="running", started_at=AT, attempt=run.attempt)
    run.refresh_from_db()
    with pytest.raises(KeyboardInterrupt):
        importing.work_import(run)
    assert Institution.objects.filter(code__startswith="L").count() == 2, "whole portions only"
    monkeypatch.setattr(importing, "_take_over", whole)
    run.refresh_from_db()
    assert importing.work_import(run)["written"] == 5
    assert importing.work_import(run)["written"] == 5
    assert Institution.objects.filter(code__startswith="L").count() == 5


def test_a_cancelled_import_keeps_what_is_written_and_says_what_is_not(
    chief: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 0)
    monkeypatch.setattr(importing, "AT_A_TIME", 2)
    batch = large(chief)
    importing.confirm(batch=batch, by=chief, at=AT)
    run = Run.objects.get(kind=importing.RUN_KIND)

    def stopping(done: int, total: int, note: str) -> None:
        if done >= 2:
            raise Cancelled

    monkeypatch.setattr(run, "progress", stopping)
    with pytest.raises(Cancelled):
        importing.work_import(run)
    batch.refresh_from_db()
    assert (batch.state, batch.written) == ("confirmed", 2)
    told = reasons(batch)
    assert len(told) == 3
    assert all("导入被取消，本行未导入" in words for words in told.values())
