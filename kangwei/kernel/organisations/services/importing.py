"""Bulk import (批量导入) of institutions and accounts from a workbook.

A sheet is judged row by row when it is uploaded and nothing is written. Confirming writes the
good rows in one act; pressing twice writes them once. Bad rows can be taken away as a workbook
with the reason beside each, corrected and brought back.
"""

from __future__ import annotations

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any
from zipfile import BadZipFile

from django.db import models, transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.jobs.models import Cancelled, Run
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    ImportBatch,
    ImportKind,
    ImportRow,
    Institution,
    InstitutionKind,
    Region,
    Role,
    ScopeKind,
    Staff,
)
from kangwei.kernel.organisations.models.imports import ImportState
from kangwei.kernel.organisations.models.institutions import HospitalGrade
from kangwei.kernel.organisations.rules import identifiers as rules
from kangwei.kernel.organisations.services.access import grant_role
from kangwei.kernel.organisations.services.accounts import USERNAME, create_account
from kangwei.kernel.organisations.services.institutions import create_institution
from kangwei.kernel.organisations.services.people import create_staff
from kangwei.kernel.refusals import Refusal
from kangwei.kernel.screens import uploads

MAX_ROWS = 5000
RUN_KIND = "organisations.import"
#: So many rows are written while the reader waits: each account costs a tenth of a second, for
#: its password is hashed as slowly as every other.
AT_ONCE = 200
#: Rows of one transaction of a long run.
AT_A_TIME = 20
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
REASON = "不能导入的原因"


class SheetUnreadable(Refusal):
    code = "organisations.sheet_unreadable"
    title = "导入表无法读取"
    status = 422


class BatchAlreadyDecided(Refusal):
    code = "organisations.import_already_decided"
    title = "导入已处理"


class NothingToImport(Refusal):
    code = "organisations.nothing_to_import"
    title = "没有可导入的行"


@dataclass(frozen=True)
class Column:
    """One column of a template: its heading, whether it must be filled, an example."""

    key: str
    heading: str
    required: bool
    example: str
    note: str = ""


INSTITUTION_COLUMNS = (
    Column("code", "机构编码", True, "6101130101", "全系统唯一"),
    Column("name", "机构名称", True, "小寨路社区卫生服务中心"),
    Column("short_name", "简称", False, "小寨社区中心"),
    Column("kind", "机构类别", True, "社区卫生服务中心", "见“机构类别”工作表"),
    Column("grade", "医院等级", False, "", "如 三级甲等；非医院留空"),
    Column("region", "区划代码", True, "610113", "6、9 或 12 位"),
    Column("parent", "上级机构编码", True, "610113", "已登记的机构，或本表中靠前的行"),
    Column("uscc", "统一社会信用代码", False, "", "18 位"),
    Column("telephone", "联系电话", False, "029-82220000"),
    Column("address", "地址", False, "西安市雁塔区小寨路"),
    Column("opened_on", "启用日期", False, "2026-01-01", "留空为今天"),
)
ACCOUNT_COLUMNS = (
    Column("username", "用户名", True, "wangxiuying", "小写字母、数字和 . _ @ -"),
    Column("name", "姓名", True, "王秀英"),
    Column("institution", "机构编码", True, "6101130101"),
    Column("department", "科室名称", False, "预防接种门诊", "该机构已登记的科室"),
    Column("number", "工号", False, "0101"),
    Column("phone", "手机号", False, "16400000001"),
    Column("id_number", "身份证号", False, ""),
    Column("position", "职务", False, "登记员"),
    Column("role", "角色名称", False, "接种门诊登记员", "按本机构范围授予；留空则不授权"),
    Column("valid_until", "账号有效期至", False, "", "留空为长期"),
)
COLUMNS: Mapping[str, Sequence[Column]] = {
    ImportKind.INSTITUTIONS: INSTITUTION_COLUMNS,
    ImportKind.ACCOUNTS: ACCOUNT_COLUMNS,
}
SCOPE_RIGHT = {
    ImportKind.INSTITUTIONS: "organisations.import_institution",
    ImportKind.ACCOUNTS: "organisations.import_account",
}

Problem = dict[str, str]
Values = dict[str, str]
Judge = Callable[[int, Values], list[Problem]]


# The workbook


def template(kind: str) -> bytes:
    """An empty sheet with headings, an example and the values that may be chosen."""
    out = io.BytesIO()
    import xlsxwriter

    book = xlsxwriter.Workbook(out, {"in_memory": True})
    head = book.add_format({"bold": True, "bg_color": "#D4F0F3", "border": 1})
    must = book.add_format({"bold": True, "bg_color": "#FCE8C8", "border": 1})
    sheet = book.add_worksheet(ImportKind(kind).label)
    for index, column in enumerate(COLUMNS[kind]):
        sheet.write_string(0, index, column.heading, must if column.required else head)
        sheet.set_column(
            index, index, max(14, len(column.heading) * 2 + 2), book.add_format({"num_format": "@"})
        )
        if column.required or column.note:
            word = "必填。" if column.required else ""
            sheet.write_comment(0, index, f"{word}{column.note}")
        sheet.write_string(1, index, column.example)
    sheet.freeze_panes(1, 0)
    if kind == ImportKind.INSTITUTIONS:
        listing = book.add_worksheet("机构类别")
        for row, name in enumerate(InstitutionKind.objects.values_list("name", flat=True)):
            listing.write_string(row, 0, name)
    book.close()
    return out.getvalue()


def read_rows(file: IO[bytes], kind: str) -> list[tuple[int, Values]]:
    """The filled rows with their numbers on the sheet, every cell as text."""
    # Loaded with the first sheet that is brought: 20 MB that most processes never need.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
        raise SheetUnreadable("文件无法读取，请用本页下载的模板重新填写。", field="file") from None
    sheet = book.worksheets[0]
    lines = sheet.iter_rows(values_only=True)
    headings = [_text(cell) for cell in next(lines, ())]
    places = {}
    for column in COLUMNS[kind]:
        if column.heading in headings:
            places[column.key] = headings.index(column.heading)
        elif column.required:
            raise SheetUnreadable(
                f"第一行没有“{column.heading}”列，请使用本页下载的模板。", field="file"
            )
    found = []
    for number, cells in enumerate(lines, start=2):
        values = {
            key: _text(cells[place]) if place < len(cells) else "" for key, place in places.items()
        }
        if not any(values.values()):
            continue
        found.append((number, values))
        if len(found) > MAX_ROWS:
            raise SheetUnreadable(f"一次最多导入 {MAX_ROWS} 行，请分成几个文件。", field="file")
    book.close()
    if not found:
        raise NothingToImport("表中没有数据行，请从第二行起填写。", field="file")
    return found


def _text(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case datetime():
            return cell.date().isoformat()
        case float() if cell.is_integer():
            return str(int(cell))
        case _:
            return str(cell).strip()[:200]


# The acts


@transaction.atomic
def upload(*, kind: str, file: IO[bytes], name: str, by: Account, at: datetime) -> ImportBatch:
    """Judge a sheet and keep it for confirmation; nothing of it is written yet."""
    checked = uploads.check(file, {uploads.XLSX}, name=name)
    file.seek(0)
    content = file.read()
    rows = read_rows(io.BytesIO(content), kind)
    batch = ImportBatch.objects.create(
        kind=kind,
        file_name=checked.name[:200],
        file_digest=hashlib.sha256(content).hexdigest(),
        uploaded_by=by,
        uploaded_at=at,
    )
    judge = _judge(kind, by, at)
    ImportRow.objects.bulk_create(
        [
            ImportRow(
                batch=batch,
                number=number,
                content=json.dumps(values, ensure_ascii=False),
                problems=judge(number, values),
            )
            for number, values in rows
        ],
        batch_size=500,
    )
    audit.record(
        act="organisations.import.uploaded",
        by=by, at=at, detail={"file": batch.file_name, "kind": kind, "rows": len(rows)},
    )  # fmt: skip
    return batch


def values_of(row: ImportRow) -> Values:
    content: Values = json.loads(str(row.content))
    return content


@transaction.atomic
def confirm(*, batch: ImportBatch, by: Account, at: datetime) -> ImportBatch:
    """Write the good rows. They are judged again, for the world may have moved on meanwhile.

    Few rows are written here and now; many are handed to a long run (长任务), and the batch waits
    for confirmation until that has ended. Confirming again goes on where a broken run stopped.
    """
    batch = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if batch.state == ImportState.CONFIRMED:
        return batch  # pressed twice: the rows are there already
    if batch.state != ImportState.PREVIEW:
        raise BatchAlreadyDecided("这次导入已放弃，请重新上传。")
    if running(batch) is not None:
        return batch
    waiting = list(_waiting(batch))
    if sum(not row.problems for row in waiting) > AT_ONCE:
        start_run(
            kind=RUN_KIND, title=f"导入{batch.get_kind_display()}：{batch.file_name}", by=by, at=at,
            arguments={"batch": batch.pk},
        )  # fmt: skip
        return batch
    judge = _judge(batch.kind, by, at)
    for row in waiting:
        _take_over(row, judge, by, at)
    return _finish(batch, by, at)


def running(batch: ImportBatch) -> Run | None:
    """The long run that is writing this batch."""
    return Run.objects.open().filter(kind=RUN_KIND, arguments__batch=batch.pk).first()


def work_import(run: Run) -> Mapping[str, Any]:
    """Write a large sheet some rows at a time; called again after a kill, it goes on."""
    batch = ImportBatch.objects.get(pk=run.arguments["batch"])
    if batch.state == ImportState.CONFIRMED:
        return {"batch": batch.pk, "written": batch.written}  # killed after the last word
    by, at = batch.uploaded_by, clock.now()
    rows = list(_waiting(batch))
    total = batch.rows.count()
    done = total - len(rows)
    judge = _judge(batch.kind, by, at)
    try:
        for start in range(0, len(rows), AT_A_TIME):
            run.progress(done + start, total, "写入中")
            with transaction.atomic():
                for row in rows[start : start + AT_A_TIME]:
                    _take_over(row, judge, by, at)
    except Cancelled:
        with transaction.atomic():
            for row in rows[start:]:
                row.problems = row.problems or [{"column": "", "reason": "导入被取消，本行未导入"}]
                row.save(update_fields=["problems"])
            if batch.rows.exclude(result_id=None).exists():
                _finish(batch, by, at)
        raise
    with transaction.atomic():
        batch = _finish(batch, by, at)
    run.progress(total, total, "完成")
    return {"batch": batch.pk, "written": batch.written}


def _waiting(batch: ImportBatch) -> models.QuerySet[ImportRow]:
    return batch.rows.filter(result_id=None).order_by("number")


def _take_over(row: ImportRow, judge: Judge, by: Account, at: datetime) -> None:
    """One row into the tables, or the reason why not beside it."""
    values = values_of(row)
    row.problems = judge(row.number, values)
    if not row.problems:
        try:
            with transaction.atomic():
                row.result_id, values["password"] = _write(row.batch.kind, values, by, at)
            row.content = json.dumps(values, ensure_ascii=False)
        except Refusal as refusal:
            row.problems = [{"column": "", "reason": refusal.message}]
    row.save(update_fields=["problems", "result_id", "content"])


def _finish(batch: ImportBatch, by: Account, at: datetime) -> ImportBatch:
    written = batch.rows.exclude(result_id=None).count()
    if not written:
        raise NothingToImport("没有一行可以导入；请下载问题行，修改后重新上传。")
    batch.state, batch.confirmed_at, batch.written = ImportState.CONFIRMED, at, written
    batch.save(update_fields=["state", "confirmed_at", "written"])
    audit.record(
        act="organisations.import.confirmed",
        by=by, at=at, detail={"file": batch.file_name, "kind": batch.kind, "written": written},
    )  # fmt: skip
    return batch


class PasswordsTaken(Refusal):
    code = "organisations.import_passwords_taken"
    title = "一次性密码表已领取"


@transaction.atomic
def take_passwords(*, batch: ImportBatch, by: Account, at: datetime) -> bytes:
    """The one-time passwords of imported accounts as a workbook, once; then they are forgotten."""
    batch = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    rows = [(row, values_of(row)) for row in batch.rows.exclude(result_id=None).order_by("number")]
    rows = [(row, values) for row, values in rows if values.get("password")]
    if not rows:
        raise PasswordsTaken("一次性密码表只能领取一次，现已不再保存；请在账号页面逐个重置密码。")
    out = io.BytesIO()
    import xlsxwriter

    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet("一次性密码")
    for index, heading in enumerate(("用户名", "姓名", "机构编码", "一次性密码")):
        sheet.write_string(0, index, heading)
        sheet.set_column(index, index, 20)
    for line, (row, values) in enumerate(rows, start=1):
        for index, key in enumerate(("username", "name", "institution", "password")):
            sheet.write_string(line, index, values[key])
        del values["password"]
        row.content = json.dumps(values, ensure_ascii=False)
        row.save(update_fields=["content"])
    book.close()
    audit.record(
        act="organisations.import.passwords_taken",
        by=by, at=at, detail={"file": batch.file_name, "accounts": len(rows)},
    )  # fmt: skip
    return out.getvalue()


def has_passwords(batch: ImportBatch) -> bool:
    """Are one-time passwords still waiting to be taken away?"""
    rows = batch.rows.exclude(result_id=None)
    return batch.kind == ImportKind.ACCOUNTS and any(values_of(row).get("password") for row in rows)


@transaction.atomic
def discard(*, batch: ImportBatch, by: Account, at: datetime) -> None:
    batch = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if batch.state != ImportState.PREVIEW:
        raise BatchAlreadyDecided("这次导入已经处理，不能放弃。")
    if running(batch) is not None:
        raise BatchAlreadyDecided("正在后台导入，不能放弃；请在“后台任务”中取消。")
    if batch.rows.exclude(result_id=None).exists():
        raise BatchAlreadyDecided("已有部分行写入，不能放弃；请再次确认导入，写完其余各行。")
    batch.state = ImportState.DISCARDED
    batch.save(update_fields=["state"])
    batch.rows.all().delete()
    audit.record(
        act="organisations.import.discarded", by=by, at=at, detail={"file": batch.file_name}
    )


def bad_rows(batch: ImportBatch) -> bytes:
    """The rows that cannot come in, as a workbook of the same shape with the reason last."""
    columns = COLUMNS[batch.kind]
    out = io.BytesIO()
    import xlsxwriter

    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet("问题行")
    bold = book.add_format({"bold": True, "bg_color": "#FCE8E6", "border": 1})
    for index, heading in enumerate([*(column.heading for column in columns), REASON]):
        sheet.write_string(0, index, heading, bold)
        sheet.set_column(index, index, 18)
    line = 1
    for row in batch.rows.order_by("number"):
        if not row.problems:
            continue
        values = values_of(row)
        for index, column in enumerate(columns):
            sheet.write_string(line, index, values.get(column.key, ""))
        sheet.write_string(line, len(columns), told(row.number, row.problems))
        line += 1
    book.close()
    return out.getvalue()


def told(number: int, problems: Sequence[Problem]) -> str:
    """The reasons of one row in a sentence."""
    parts = (f"{p['column']}：{p['reason']}" if p["column"] else p["reason"] for p in problems)
    return f"第 {number} 行 " + "；".join(parts)


# Judging a row. A judge remembers the rows before it, so that a sheet may bring parent and child.


def _judge(kind: str, by: Account, at: datetime) -> Judge:
    return (_InstitutionJudge if kind == ImportKind.INSTITUTIONS else _AccountJudge)(by, at)


class _Judge(ABC):
    columns: Sequence[Column]

    def __init__(self, by: Account, at: datetime) -> None:
        self.by = by
        self.today = clock.local_day(at)
        self.seen: dict[str, int] = {}
        self.found: list[Problem] = []

    def __call__(self, number: int, values: Values) -> list[Problem]:
        self.found = []
        for column in self.columns:
            if column.required and not values.get(column.key):
                self.wrong(column.key, "必填")
        self.judge(number, values)
        return self.found

    @abstractmethod
    def judge(self, number: int, values: Values) -> None: ...

    def wrong(self, key: str, reason: str | None) -> None:
        if reason:
            heading = next(c.heading for c in self.columns if c.key == key)
            self.found.append({"column": heading, "reason": reason})

    def once(self, key: str, value: str, number: int) -> None:
        earlier = self.seen.setdefault(f"{key}\0{value}", number)
        if value and earlier != number:
            self.wrong(key, f"与第 {earlier} 行重复")

    def day(self, key: str, text: str) -> date | None:
        if not text:
            return None
        day = _day(text)
        if day is None:
            self.wrong(key, f"“{text[:20]}”不是日期，应形如 2026-01-31")
        return day


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.replace("/", "-").replace(".", "-"))
    except ValueError:
        return None


class _InstitutionJudge(_Judge):
    columns = INSTITUTION_COLUMNS

    def __init__(self, by: Account, at: datetime) -> None:
        super().__init__(by, at)
        self.kinds = set(InstitutionKind.objects.values_list("name", flat=True))
        reach = Institution.objects.reached_by(by, SCOPE_RIGHT[ImportKind.INSTITUTIONS])
        self.parents = {row.code for row in reach if row.is_open(self.today)}
        self.codes = set(Institution.objects.values_list("code", flat=True))
        self.usccs = set(Institution.objects.exclude(uscc=None).values_list("uscc", flat=True))
        self.regions = set(Region.objects.filter(valid_to=None).values_list("code", flat=True))

    def judge(self, number: int, values: Values) -> None:
        code, uscc = values["code"], rules.tidy(values.get("uscc", ""))
        if code in self.codes:
            self.wrong("code", f"机构编码 {code} 已登记")
        self.once("code", code, number)
        if values["kind"] and values["kind"] not in self.kinds:
            self.wrong("kind", f"没有类别“{values['kind'][:30]}”")
        grade = values.get("grade", "")
        if grade and grade not in HospitalGrade.labels:
            self.wrong("grade", f"没有等级“{grade[:20]}”")
        if values["region"] and values["region"].ljust(12, "0") not in self.regions:
            self.wrong("region", f"没有有效的区划代码 {values['region'][:12]}")
        if values["parent"] and values["parent"] not in self.parents:
            self.wrong("parent", f"没有机构 {values['parent'][:30]}，或不在您的管理范围内")
        if uscc:
            self.wrong("uscc", rules.problem_with_uscc(uscc))
            if uscc in self.usccs:
                self.wrong("uscc", "已登记在其他机构")
            self.once("uscc", uscc, number)
        if values.get("telephone"):
            self.wrong("telephone", rules.problem_with_telephone(values["telephone"]))
        self.day("opened_on", values.get("opened_on", ""))
        if not self.found:
            self.parents.add(code)


class _AccountJudge(_Judge):
    columns = ACCOUNT_COLUMNS

    def __init__(self, by: Account, at: datetime) -> None:
        super().__init__(by, at)
        reach = Institution.objects.reached_by(by, SCOPE_RIGHT[ImportKind.ACCOUNTS])
        self.homes = {row.code: row for row in reach if row.is_open(self.today)}
        self.usernames = set(Account.objects.values_list("username", flat=True))
        self.roles = {role.name: role for role in Role.objects.filter(active=True)}
        self.departments = {
            (row.institution_id, row.name)
            for row in Department.objects.filter(
                institution__in=[home.pk for home in self.homes.values()], closed_on=None
            )
        }

    def judge(self, number: int, values: Values) -> None:
        username = values["username"].lower()
        if username and not USERNAME.match(username):
            self.wrong("username", "由字母、数字和 . _ @ - 组成，2 至 40 位")
        if username in self.usernames:
            self.wrong("username", f"用户名 {username} 已被使用")
        self.once("username", username, number)
        home = self.homes.get(values["institution"])
        if values["institution"] and home is None:
            self.wrong(
                "institution", f"没有机构 {values['institution'][:30]}，或不在您的管理范围内"
            )
        department = values.get("department", "")
        if home and department and (home.pk, department) not in self.departments:
            self.wrong("department", f"“{home}”没有科室“{department[:30]}”")
        if phone := rules.tidy(values.get("phone", "")):
            self.wrong("phone", rules.problem_with_mobile(phone))
        if id_number := rules.tidy(values.get("id_number", "")):
            self.wrong("id_number", rules.problem_with_resident_id(id_number, self.today))
            self.once("id_number", id_number, number)
            if Staff.objects.filter(id_number=id_number, left_on=None).exists():
                self.wrong("id_number", "已登记为在职人员")
        self._role(values.get("role", ""))
        until = self.day("valid_until", values.get("valid_until", ""))
        if until is not None and until <= self.today:
            self.wrong("valid_until", "应晚于今天")

    def _role(self, name: str) -> None:
        if not name:
            return
        role = self.roles.get(name)
        if role is None:
            self.wrong("role", f"没有角色“{name[:30]}”")
        elif role.scope_kind not in {ScopeKind.OWN, ScopeKind.SUBTREE}:
            self.wrong("role", f"“{name}”需要指定范围，请导入后在账号页面授予")


def _write(kind: str, values: Values, by: Account, at: datetime) -> tuple[int, str]:
    """The new row's number, and for an account its one-time password."""
    if kind == ImportKind.INSTITUTIONS:
        return _write_institution(values, by, at), ""
    return _write_account(values, by, at)


def _write_institution(values: Values, by: Account, at: datetime) -> int:
    grades = {label: code for code, label in HospitalGrade.choices}
    made = create_institution(
        code=values["code"],
        name=values["name"],
        short_name=values.get("short_name", ""),
        kind=InstitutionKind.objects.get(name=values["kind"]),
        grade=grades.get(values.get("grade", ""), ""),
        region=Region.objects.get(code=values["region"].ljust(12, "0")),
        parent=Institution.objects.get(code=values["parent"]),
        uscc=values.get("uscc") or None,
        telephone=values.get("telephone", ""),
        address=values.get("address", ""),
        opened_on=_day(values.get("opened_on", "")),
        by=by,
        at=at,
    )
    return made.pk


def _write_account(values: Values, by: Account, at: datetime) -> tuple[int, str]:
    home = Institution.objects.get(code=values["institution"])
    department = Department.objects.filter(
        institution=home, name=values.get("department", ""), closed_on=None
    ).first()
    staff = create_staff(
        institution=home,
        name=values["name"],
        department=department,
        number=values.get("number", ""),
        phone=values.get("phone", ""),
        id_number=values.get("id_number", ""),
        position=values.get("position", ""),
        by=by,
        at=at,
    )
    new = create_account(
        username=values["username"],
        name=values["name"],
        institution=home,
        staff=staff,
        valid_until=_day(values.get("valid_until", "")),
        by=by,
        at=at,
    )
    if values.get("role"):
        grant_role(
            account=new.account,
            role=Role.objects.get(name=values["role"], active=True),
            by=by,
            at=at,
            reason="批量导入",
        )
    return new.account.pk, new.password
