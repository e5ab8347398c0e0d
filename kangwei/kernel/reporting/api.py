"""Reports, snapshots and documents over the API (报表、固化、文档接口)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpResponse
from ninja import File, Form, Query, Schema
from ninja.files import UploadedFile
from pydantic import Field

from kangwei.kernel.api.paging import Page, Paging, paginate
from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.organisations.models import Account, Institution
from kangwei.kernel.refusals import NotFound

from . import queries
from .models import Document, DocumentVersion, Snapshot, SnapshotPlan, StyleTemplate, Subscription
from .rules.blocks import plain
from .rules.comparison import Comparison
from .rules.declarations import ChoiceParameter, Column, Parameter, PeriodParameter, Report
from .rules.differences import differences
from .rules.results import Line, Result
from .rules.values import store
from .services import documents as document_acts
from .services import plans as plan_acts
from .services import templates as template_acts
from .services.exporting import Exported, export_result, mask_for
from .services.personal import choose_columns, set_favourite
from .services.running import drill, open_kept, require, run_and_keep, start_long_report
from .services.snapshots import compare_results, compare_with_now, freeze
from .services.templates import TEMPLATE_RIGHT

reports = KwRouter(tag="报表")
snapshots = KwRouter(tag="固化报表")
documents = KwRouter(tag="文档")

Cells = dict[str, str | int | None]


# ── Shapes ────────────────────────────────────────────────────────────────────────────────────


class ColumnOut(Schema):
    key: str = Field(description="列代码")
    title: str = Field(description="列名")
    group: list[str] = Field(description="分组表头，由外到内")
    kind: str = Field(description="类型：text int decimal percent date datetime duration")
    definition: str = Field(description="口径")
    unit: str
    drill: bool = Field(description="能否查看明细")
    masked: str = Field(description="脱敏类型，空为不脱敏")


class ParameterOut(Schema):
    key: str
    title: str
    kind: str = Field(description="条件类型")
    required: bool
    choices: list[str] = Field(description="可选的值；期间条件为可选的期间种类")


class ReportOut(Schema):
    code: str
    title: str
    group: str
    purpose: str = Field(description="说明")
    version: int = Field(description="定义版本")
    long: bool = Field(description="是否后台统计")
    parameters: list[ParameterOut]
    columns: list[ColumnOut]


class RunIn(Schema):
    parameters: dict[str, str] = Field(
        default_factory=dict,
        description='条件，如 {"period": "2026-10"}；期间也可写 previous、current',
    )


class RowsOut(Schema):
    """A result, one page of its rows. Stored values: percent and decimal as text, unrounded."""

    result: str = Field(description="结果编号，保留一天；固化结果为空")
    code: str
    title: str
    version: int
    definition_digest: str = Field(description="口径摘要（SM3）")
    parameters: dict[str, str]
    cutoff: datetime = Field(description="数据截止")
    rows: list[Cells] = Field(description="本页的行；小数和百分数为文本，未取整；时长为秒")
    totals: Cells | None = Field(description="合计行")
    total: int = Field(description="总行数")
    page: int
    size: int


class StartedOut(Schema):
    run: int = Field(description="后台任务编号")


class ResultIn(Schema):
    result: str = Field(description="结果编号", max_length=40)


class FreezeIn(ResultIn):
    name: str = Field("", max_length=120, description="固化名称")


class DetailsIn(ResultIn):
    row: int | None = Field(None, ge=0, description="第几行，从 0 开始；不填为合计")
    column: str = Field(max_length=60, description="列代码")


class DetailsOut(Schema):
    title: str
    figure: str = Field(description="报表中的数字")
    counted: str = Field(description="明细合计")
    agrees: bool = Field(description="是否相符")
    columns: list[ColumnOut]
    rows: list[Cells]


class SnapshotOut(Schema):
    id: int
    report: str
    name: str
    version: int
    parameters: dict[str, str]
    cutoff: datetime
    rows: int
    frozen_at: datetime
    digest: str = Field(description="摘要（SM3）")
    planned: bool = Field(description="是否由计划固化")

    @staticmethod
    def resolve_planned(row: Snapshot) -> bool:
        return row.plan_id is not None


class SnapshotRowsOut(RowsOut):
    verified: bool = Field(description="摘要和签名是否核验通过")
    problem: str = Field(description="未通过的原因")


class CellOut(Schema):
    column: str
    before: str | int | None
    after: str | int | None
    delta: str | None = Field(description="差，未取整；时长为秒")
    percent: str | None = Field(description="增幅，未取整")


class RowChangeOut(Schema):
    key: list[str | int | None]
    state: Literal["added", "removed", "changed", "same"]
    cells: list[CellOut] = Field(description="不同的格")


class ComparisonOut(Schema):
    identical: bool
    redefined: bool = Field(description="两份结果的口径定义是否不同")
    counts: dict[str, int]
    rows: list[RowChangeOut]
    totals: RowChangeOut | None


class PlanIn(Schema):
    report: str = Field(max_length=80)
    name: str = Field("", max_length=100)
    parameters: dict[str, str] = Field(
        default_factory=dict, description="期间只能用 previous 或 current"
    )
    frequency: Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
    hour: int = Field(ge=0, le=23)
    day: int = Field(1, ge=1, le=366)


class PlanOut(Schema):
    id: int
    report: str
    name: str
    parameters: dict[str, str]
    frequency: str
    hour: int
    day: int
    active: bool
    last_error: str


class SubscriptionIn(Schema):
    parameters: dict[str, str] = Field(default_factory=dict)
    frequency: Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
    hour: int = Field(ge=0, le=23)
    day: int = Field(1, ge=1, le=366)
    account: int | None = Field(None, description="接收账号，不填为自己")


class SubscriptionOut(Schema):
    id: int
    report: str
    parameters: dict[str, str]
    frequency: str
    hour: int
    day: int
    active: bool
    account_id: int
    last_error: str


class DocumentOut(Schema):
    id: int
    kind: str
    title: str
    number: str | None = Field(description="编号，首次封存时给出")
    institution_id: int
    period: str
    created_at: datetime


class VersionOut(Schema):
    id: int
    document_id: int
    number: str | None
    version: int
    state: str = Field(description="draft 草稿，sealed 已封存，discarded 已作废")
    cutoff: datetime
    reason: str = Field(description="更正原因")
    digest: str = Field(description="封存摘要（SM3）")
    sealed_at: datetime | None

    @staticmethod
    def resolve_number(row: DocumentVersion) -> str | None:
        return row.document.number


class TreeOut(VersionOut):
    genuine: bool | None = Field(description="封存版的核验结果；草稿为空")
    tree: dict[str, Any] = Field(description="块树：各章节的段落、表、图和填写内容")

    @staticmethod
    def resolve_genuine(row: DocumentVersion) -> bool | None:
        return queries.verify_version(row).genuine if row.is_sealed else None

    @staticmethod
    def resolve_tree(row: DocumentVersion) -> dict[str, Any]:
        return plain(document_acts.preview_tree(row))


class FavouriteIn(Schema):
    wanted: bool = Field(description="收藏或取消")


class ColumnsIn(Schema):
    columns: list[str] = Field(max_length=200, description="要显示的列；空为恢复默认")


class DocumentTemplateOut(Schema):
    id: int
    name: str
    institution_id: int | None = Field(description="空为全站通用")
    digest: str = Field(description="摘要（SM3）")
    styles: dict[str, str] = Field(description="样式对应")
    active: bool
    uploaded_at: datetime


class GenerateIn(Schema):
    kind: str = Field(max_length=80)
    template: int | None = Field(None, description="样式模板，不填为默认模板")
    period: str = Field(max_length=30, description="如 2026-10")
    institution: int
    cutoff: datetime | None = Field(None, description="数据截止，不填为现在")


class TextIn(Schema):
    section: str = Field(max_length=60)
    text: str = Field(max_length=60_000)
    revision: int = Field(0, ge=0, description="打开时的修订号，第一次填写为 0")


class TextOut(Schema):
    section: str
    revision: int


class CorrectionIn(Schema):
    reason: str = Field(max_length=300)


class DifferenceOut(Schema):
    kind: str
    section: str
    where: str
    before: str
    after: str


# ── Helpers ───────────────────────────────────────────────────────────────────────────────────


def _parameter(one: Parameter) -> dict[str, Any]:
    choices: list[str] = []
    if isinstance(one, PeriodParameter):
        choices = list(one.kinds)
    elif isinstance(one, ChoiceParameter):
        choices = [value for value, _ in one.options()]
    return {
        "key": one.key,
        "title": one.title,
        "kind": type(one).__name__.removesuffix("Parameter").lower(),
        "required": one.required,
        "choices": choices,
    }


def _report(one: Report) -> dict[str, Any]:
    return {
        "code": one.code,
        "title": one.title,
        "group": one.group,
        "purpose": one.purpose,
        "version": one.version,
        "long": one.long,
        "parameters": [_parameter(parameter) for parameter in one.parameters],
        "columns": [column.plain() for column in one.columns],
    }


def _cells(columns: tuple[Column, ...], line: Line, level: int) -> Cells:
    mask = mask_for(level)
    return {
        column.key: mask(column.masked, str(value))
        if column.masked and value is not None
        else store(column.kind, value)
        for column, value in zip(columns, line, strict=True)
    }


def _rows(result: Result, paging: Paging, by: Account, kept: str = "") -> dict[str, Any]:
    heading = result.heading
    start = (paging.page - 1) * paging.size
    level = by.masking_level
    return {
        "result": kept,
        "code": heading.code,
        "title": heading.title,
        "version": heading.version,
        "definition_digest": heading.definition_digest,
        "parameters": dict(heading.parameters),
        "cutoff": heading.cutoff,
        "rows": [
            _cells(result.columns, line, level) for line in result.rows[start : start + paging.size]
        ],
        "totals": None if result.totals is None else _cells(result.columns, result.totals, level),
        "total": len(result.rows),
        "page": paging.page,
        "size": paging.size,
    }


def _compared(comparison: Comparison, level: int) -> dict[str, Any]:
    mask = mask_for(level)

    def change(row: Any) -> dict[str, Any]:
        cells = []
        for column, cell in zip(comparison.columns, row.cells, strict=True):
            if cell.changed:

                def said(value: Any, column: Column = column) -> str | int | None:
                    if column.masked and value is not None:
                        return mask(column.masked, str(value))
                    return store(column.kind, value)

                delta = cell.delta
                cells.append(
                    {
                        "column": column.key,
                        "before": said(cell.before),
                        "after": said(cell.after),
                        "delta": None if delta is None else str(store("decimal", delta)),
                        "percent": None
                        if cell.percent is None
                        else str(store("percent", cell.percent)),
                    }
                )
        key = [store("text", part) for part in row.key]
        return {"key": key, "state": row.state, "cells": cells}

    return {
        "identical": comparison.identical,
        "redefined": comparison.redefined,
        "counts": comparison.counts,
        "rows": [change(row) for row in comparison.differences()],
        "totals": None if comparison.totals is None else change(comparison.totals),
    }


def _file(exported: Exported) -> HttpResponse:
    answer = HttpResponse(exported.content, content_type=exported.media_type)
    form = exported.filename.rpartition(".")[2]
    answer["Content-Disposition"] = f"attachment; filename=export.{form}"
    return answer


def _snapshot(request: ApiRequest, number: int) -> Snapshot:
    found = Snapshot.objects.visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这份固化报表，或它覆盖的机构不全在您的数据范围内。")
    return found


def _version(request: ApiRequest, number: int) -> DocumentVersion:
    found = (
        DocumentVersion.objects.visible_to(request.user)
        .select_related("document__institution", "template")
        .filter(pk=number)
        .first()
    )
    if found is None:
        raise NotFound("没有这份文档，或它不在您的数据范围内。")
    return found


# ── Reports ───────────────────────────────────────────────────────────────────────────────────


@reports.get("", right=None, response=list[ReportOut], summary="报表目录")
def list_reports(request: ApiRequest) -> Any:
    """本账号有权查看的报表，含条件和每一列的口径。"""
    return [_report(one) for one in queries.reports_for(request.user)]


@reports.get("/{code}", right=None, response=ReportOut, summary="报表定义")
def report(request: ApiRequest, code: str) -> Any:
    return _report(require(code, request.user))


@reports.ask(
    "/{code}/run",
    right=None,
    response=RowsOut,
    summary="查询报表",
    description="按条件统计，返回第一页并保留结果一天；其余各页用结果编号取。",
    example={"parameters": {"period": "2026-10"}},
)
def run(request: ApiRequest, code: str, content: RunIn) -> Any:
    kept = run_and_keep(
        report=require(code, request.user),
        parameters=content.parameters,
        by=request.user,
        at=request.at,
    )
    return _rows(kept.result, Paging(page=1, size=200, order=""), request.user, str(kept.result_id))


@reports.act(
    "/{code}/start",
    right=None,
    response=StartedOut,
    summary="后台统计报表",
    example={"parameters": {"period": "2026-10"}},
)
def start(request: ApiRequest, code: str, content: RunIn) -> Any:
    begun = start_long_report(
        report=require(code, request.user),
        parameters=content.parameters,
        by=request.user,
        at=request.at,
    )
    return {"run": begun.pk}


@reports.get("/{code}/results/{result}", right=None, response=RowsOut, summary="取查询结果")
def result_rows(request: ApiRequest, code: str, result: str, paging: Query[Paging]) -> Any:
    declared = require(code, request.user)
    kept = open_kept(result_id=result, report=declared, by=request.user, at=request.at)
    return _rows(kept.result, paging, request.user, str(kept.result_id))


@reports.ask(
    "/{code}/details",
    right=None,
    response=DetailsOut,
    summary="查看数字背后的明细",
    example={"result": "0f8fad5b-d9cb-469f-a165-70867728950e", "row": 0, "column": "all"},
)
def details(request: ApiRequest, code: str, content: DetailsIn) -> Any:
    declared = require(code, request.user)
    kept = open_kept(result_id=content.result, report=declared, by=request.user, at=request.at)
    found = drill(
        report=declared,
        result=kept.result,
        row=content.row,
        column=content.column,
        by=request.user,
        at=request.at,
    )
    level = request.user.masking_level
    return {
        "title": found.title,
        "figure": str(found.figure),
        "counted": str(found.counted),
        "agrees": found.agrees,
        "columns": [column.plain() for column in found.columns],
        "rows": [_cells(found.columns, line, level) for line in found.rows],
    }


@reports.ask(
    "/{code}/export/{form}",
    right="reporting.export_report",
    summary="导出 Excel 或 CSV",
    example={"result": "0f8fad5b-d9cb-469f-a165-70867728950e"},
)
def export(request: ApiRequest, code: str, form: Literal["xlsx", "csv"], content: ResultIn) -> Any:
    declared = require(code, request.user)
    kept = open_kept(result_id=content.result, report=declared, by=request.user, at=request.at)
    return _file(export_result(result=kept.result, form=form, by=request.user, at=request.at))


@reports.act(
    "/{code}/freeze",
    right="reporting.freeze_report",
    response=SnapshotOut,
    summary="固化查询结果",
    example={"result": "0f8fad5b-d9cb-469f-a165-70867728950e", "name": "10月账号统计"},
)
def freeze_report(request: ApiRequest, code: str, content: FreezeIn) -> Any:
    declared = require(code, request.user)
    kept = open_kept(result_id=content.result, report=declared, by=request.user, at=request.at)
    return freeze(report=declared, kept=kept, by=request.user, at=request.at, name=content.name)


@reports.act(
    "/{code}/subscribe",
    right=None,
    response=SubscriptionOut,
    summary="订阅报表",
    example={"parameters": {"period": "previous"}, "frequency": "monthly", "hour": 8, "day": 1},
)
def subscribe(request: ApiRequest, code: str, content: SubscriptionIn) -> Any:
    receiver: Account | None = None
    if content.account is not None:
        receiver = (
            Account.objects.reached_by(request.user, plan_acts.OTHERS_RIGHT)
            .filter(pk=content.account)
            .first()
        )
        if receiver is None and content.account != request.user.pk:
            raise NotFound("没有这个账号，或它不在您的数据范围内。", field="account")
    return plan_acts.subscribe(
        report=require(code, request.user),
        parameters=content.parameters,
        frequency=content.frequency,
        hour=content.hour,
        day=content.day,
        by=request.user,
        at=request.at,
        account=receiver,
    )


@reports.act("/{code}/favourite", right=None, response=FavouriteIn, summary="收藏报表")
def favourite(request: ApiRequest, code: str, content: FavouriteIn) -> Any:
    report = require(code, request.user)
    return {"wanted": set_favourite(report=report, by=request.user, wanted=content.wanted)}


@reports.act("/{code}/columns", right=None, response=ColumnsIn, summary="设置显示的列")
def columns(request: ApiRequest, code: str, content: ColumnsIn) -> Any:
    report = require(code, request.user)
    chosen = choose_columns(report=report, columns=content.columns, by=request.user)
    return {"columns": chosen}


# ── Snapshots, plans, subscriptions ───────────────────────────────────────────────────────────


@snapshots.get("", right=None, rows=Snapshot, response=Page[SnapshotOut], summary="固化报表列表")
def list_snapshots(request: ApiRequest, paging: Query[Paging], report: str = "") -> Any:
    rows = Snapshot.objects.visible_to(request.user).defer("frame")
    if report:
        rows = rows.filter(report=report)
    return paginate(rows, paging, order={"frozen_at": "frozen_at", "cutoff": "cutoff"})


@snapshots.get("/plans", right="reporting.manage_plan", response=list[PlanOut], summary="固化计划")
def list_plans(request: ApiRequest) -> Any:
    return SnapshotPlan.objects.visible_to(request.user)


@snapshots.act(
    "/plans",
    right="reporting.manage_plan",
    response=PlanOut,
    summary="建立固化计划",
    example={
        "report": "reporting.usage",
        "parameters": {"period": "previous"},
        "frequency": "monthly",
        "hour": 2,
        "day": 1,
    },
)
def make_plan(request: ApiRequest, content: PlanIn) -> Any:
    return plan_acts.plan_snapshots(
        report=require(content.report, request.user),
        name=content.name,
        parameters=content.parameters,
        frequency=content.frequency,
        hour=content.hour,
        day=content.day,
        by=request.user,
        at=request.at,
    )


@snapshots.act(
    "/plans/offered/{code}",
    right="reporting.manage_plan",
    response=PlanOut,
    summary="建立推荐的固化计划",
)
def start_offered_plan(request: ApiRequest, code: str) -> Any:
    """按报表声明的时点，固化上一期；本机构已有该报表的计划时拒绝。"""
    return plan_acts.start_offered_plan(
        report=require(code, request.user), by=request.user, at=request.at
    )


@snapshots.act(
    "/plans/{number}/stop",
    right="reporting.manage_plan",
    rows=SnapshotPlan,
    response=PlanOut,
    summary="停用固化计划",
)
def stop_plan(request: ApiRequest, number: int) -> Any:
    found = SnapshotPlan.objects.visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这项固化计划，或它不在您的数据范围内。")
    return plan_acts.stop_plan(plan=found, by=request.user, at=request.at)


@snapshots.get("/subscriptions", right=None, response=list[SubscriptionOut], summary="我的订阅")
def list_subscriptions(request: ApiRequest) -> Any:
    return Subscription.objects.visible_to(request.user)


@snapshots.act(
    "/subscriptions/{number}/cancel",
    right=None,
    rows=Subscription,
    response=SubscriptionOut,
    summary="取消订阅",
)
def cancel_subscription(request: ApiRequest, number: int) -> Any:
    found = Subscription.objects.visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这项订阅，或它不是您的。")
    return plan_acts.cancel_subscription(subscription=found, by=request.user, at=request.at)


@snapshots.get(
    "/{number}", right=None, rows=Snapshot, response=SnapshotRowsOut, summary="打开固化报表"
)
def snapshot(request: ApiRequest, number: int, paging: Query[Paging]) -> Any:
    """逐页读出固化时的行，每次打开都核验摘要和签名。"""
    opened = queries.open_snapshot(_snapshot(request, number))
    return {
        **_rows(opened.result, paging, request.user),
        "verified": opened.verified,
        "problem": opened.problem,
    }


@snapshots.get(
    "/{number}/export/{form}",
    right="reporting.export_report",
    rows=Snapshot,
    summary="导出固化报表",
)
def export_snapshot(request: ApiRequest, number: int, form: Literal["xlsx", "csv"]) -> Any:
    opened = queries.open_snapshot(_snapshot(request, number))
    return _file(
        export_result(
            result=opened.result,
            form=form,
            by=request.user,
            at=request.at,
            subject_note=f"固化 {number}",
        )
    )


@snapshots.get(
    "/{number}/compare/{other}",
    right=None,
    rows=Snapshot,
    response=ComparisonOut,
    summary="两份固化报表逐格比较",
)
def compare_two(request: ApiRequest, number: int, other: int) -> Any:
    before = queries.open_snapshot(_snapshot(request, number)).result
    after = queries.open_snapshot(_snapshot(request, other)).result
    return _compared(compare_results(before, after), request.user.masking_level)


@snapshots.get(
    "/{number}/compare",
    right=None,
    rows=Snapshot,
    response=ComparisonOut,
    summary="固化报表与现在逐格比较",
)
def compare_now(request: ApiRequest, number: int) -> Any:
    found = _snapshot(request, number)
    _, comparison = compare_with_now(
        report=require(found.report, request.user),
        before=queries.open_snapshot(found).result,
        parameters=found.parameters,
        by=request.user,
        at=request.at,
    )
    return _compared(comparison, request.user.masking_level)


# ── Documents ─────────────────────────────────────────────────────────────────────────────────


@documents.get("", right=None, rows=Document, response=Page[DocumentOut], summary="文档列表")
def list_documents(request: ApiRequest, paging: Query[Paging], kind: str = "") -> Any:
    rows = Document.objects.visible_to(request.user)
    if kind:
        rows = rows.filter(kind=kind)
    return paginate(rows, paging, order={"created_at": "created_at", "number": "number"})


@documents.get("/kinds", right=None, response=list[dict[str, Any]], summary="文档种类")
def list_kinds(request: ApiRequest) -> Any:
    return [
        {
            "code": kind.code,
            "title": kind.title,
            "period": kind.period,
            "sections": [
                {"key": one.key, "title": one.title, "typed": bool(one.typed)}
                for one in kind.sections
            ],
        }
        for kind in queries.document_kinds_for(request.user)
    ]


def _template(request: ApiRequest, number: int) -> StyleTemplate:
    rows = StyleTemplate.objects.visible_to(request.user).filter(active=True)
    found = rows.filter(pk=number).first()
    if found is None:
        raise NotFound("没有这个样式模板，或它已停用、不在您的数据范围内。", field="template")
    return found


@documents.get(
    "/templates",
    right=None,
    rows=StyleTemplate,
    response=list[DocumentTemplateOut],
    summary="样式模板列表",
)
def list_templates(request: ApiRequest) -> Any:
    return list(StyleTemplate.objects.visible_to(request.user).defer("content"))


@documents.act(
    "/templates",
    right=TEMPLATE_RIGHT,
    response=DocumentTemplateOut,
    summary="上传样式模板",
    description="Word 文件（.docx），须包含全部样式；institution 不填为全站通用。",
)
def upload_template(
    request: ApiRequest,
    file: File[UploadedFile],
    name: Form[str],
    institution: Form[int | None] = None,
) -> Any:
    place = None
    if institution is not None:
        reached = request.user.scope(TEMPLATE_RIGHT)
        place = reached.limit(Institution.objects.filter(pk=institution), "pk").first()
        if place is None:
            raise NotFound("没有这个机构，或它不在您的数据范围内。", field="institution")
    return template_acts.upload_template(
        name=name,
        filename=file.name or "",
        content=file.read(),
        institution=place,
        by=request.user,
        at=request.at,
    )


@documents.act(
    "/templates/{number}/retire",
    right=TEMPLATE_RIGHT,
    rows=StyleTemplate,
    response=DocumentTemplateOut,
    summary="停用样式模板",
)
def retire_template(request: ApiRequest, number: int) -> Any:
    return template_acts.retire_template(
        template=_template(request, number), by=request.user, at=request.at
    )


@documents.act(
    "",
    right="reporting.write_document",
    response=VersionOut,
    summary="编制文档",
    example={"kind": "oversight.operation", "period": "2026-10", "institution": 1},
)
def generate(request: ApiRequest, content: GenerateIn) -> Any:
    scope = request.user.scope("reporting.write_document")
    institution = scope.limit(Institution.objects.filter(pk=content.institution), "pk").first()
    if institution is None:
        raise NotFound("没有这个机构，或它不在您的数据范围内。", field="institution")
    return document_acts.generate_document(
        template=_template(request, content.template) if content.template else None,
        kind=document_acts.require_kind(content.kind, request.user),
        period=content.period,
        institution=institution,
        cutoff=content.cutoff,
        by=request.user,
        at=request.at,
    )


@documents.get(
    "/{number}/versions",
    right=None,
    rows=Document,
    response=list[VersionOut],
    summary="文档的全部版本",
)
def versions(request: ApiRequest, number: int) -> Any:
    found = Document.objects.visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这份文档，或它不在您的数据范围内。")
    return found.versions.select_related("document").defer("tree").order_by("-version")


@documents.get(
    "/versions/{number}",
    right=None,
    rows=DocumentVersion,
    response=TreeOut,
    summary="文档一个版本的内容",
)
def version(request: ApiRequest, number: int) -> Any:
    return _version(request, number)


@documents.act(
    "/versions/{number}/text",
    right="reporting.write_document",
    rows=DocumentVersion,
    response=TextOut,
    summary="填写章节",
    example={"section": "plan", "text": "下月完成年审。", "revision": 0},
)
def write(request: ApiRequest, number: int, content: TextIn) -> Any:
    return document_acts.write_text(
        version=_version(request, number),
        section=content.section,
        text=content.text,
        revision=content.revision,
        by=request.user,
        at=request.at,
    )


@documents.act(
    "/versions/{number}/refresh",
    right="reporting.write_document",
    rows=DocumentVersion,
    response=VersionOut,
    summary="草稿重新取数",
)
def refresh(request: ApiRequest, number: int) -> Any:
    return document_acts.refresh_draft(
        version=_version(request, number), by=request.user, at=request.at
    )


@documents.act(
    "/versions/{number}/seal",
    right="reporting.seal_document",
    rows=DocumentVersion,
    response=VersionOut,
    summary="封存文档",
)
def seal(request: ApiRequest, number: int) -> Any:
    return document_acts.seal_version(
        version=_version(request, number), by=request.user, at=request.at
    )


@documents.act(
    "/versions/{number}/discard",
    right="reporting.write_document",
    rows=DocumentVersion,
    response=VersionOut,
    summary="作废草稿",
    example={"reason": "重复编制"},
)
def discard(request: ApiRequest, number: int, content: CorrectionIn) -> Any:
    return document_acts.discard_draft(
        version=_version(request, number),
        reason=content.reason,
        by=request.user,
        at=request.at,
    )


@documents.act(
    "/{number}/correct",
    right="reporting.write_document",
    rows=Document,
    response=VersionOut,
    summary="更正文档，建立新版本",
    example={"reason": "漏统计一个科室"},
)
def correct(request: ApiRequest, number: int, content: CorrectionIn) -> Any:
    found = Document.objects.visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这份文档，或它不在您的数据范围内。")
    return document_acts.correct_document(
        document=found, reason=content.reason, by=request.user, at=request.at
    )


@documents.get(
    "/versions/{number}/changes",
    right=None,
    rows=DocumentVersion,
    response=list[DifferenceOut],
    summary="与上一封存版的差异",
)
def changes(request: ApiRequest, number: int) -> Any:
    found = _version(request, number)
    earlier = queries.sealed_before(found)
    if earlier is None:
        return []
    return differences(queries.tree_of(earlier), queries.tree_of(found))


@documents.get(
    "/versions/{number}/file/{form}",
    right=None,
    rows=DocumentVersion,
    summary="下载 Word 或 PDF",
)
def file(request: ApiRequest, number: int, form: Literal["docx", "pdf"]) -> Any:
    found = _version(request, number)
    return _file(document_acts.download(version=found, form=form, by=request.user, at=request.at))


@documents.get(
    "/versions/{number}/outward/{form}",
    right="reporting.release_document",
    rows=DocumentVersion,
    summary="下载对外副本",
)
def outward(request: ApiRequest, number: int, form: Literal["docx", "pdf"]) -> Any:
    """姓名等个人信息脱敏的副本，由封存版生成。"""
    found = _version(request, number)
    return _file(
        document_acts.release_copy(version=found, form=form, by=request.user, at=request.at)
    )
