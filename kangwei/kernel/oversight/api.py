"""Oversight over the API: the acts of the account review and questions to the journal.

A signature over the API is the same as on the page: the caller sends his password or a code, and
failures count towards the lock-out.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Schema
from pydantic import Field

from kangwei.kernel import clock
from kangwei.kernel.api.paging import Page, Paging, paginate
from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.audit import services as audit
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.organisations.models import Institution, Region, Role
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.oversight import journal, queries, services
from kangwei.kernel.oversight.forms import full_code
from kangwei.kernel.oversight.models import (
    REVIEW_RIGHT,
    VIEW_RIGHT,
    ReviewCampaign,
    ReviewItem,
    SavedSearch,
)
from kangwei.kernel.oversight.rules.review import Decision, State
from kangwei.kernel.oversight.tasks import VERIFY_RUN
from kangwei.kernel.refusals import Invalid, NotFound

router = KwRouter(tag="督查")
MANAGE_RIGHT = "oversight.manage_campaign"


class CampaignOut(Schema):
    id: int
    title: str
    year: int
    institution_id: int
    standing: bool = Field(description="是否日常年审")
    opens_on: date
    due_on: date | None
    state: str = Field(description="open、closed、cancelled")


class CampaignIn(Schema):
    institution_id: int = Field(description="范围机构")
    year: int = Field(ge=2000, le=2999)
    due_on: date = Field(description="截止日期，距今天不少于 30 天")
    title: str = Field("", max_length=80)
    note: str = Field("", max_length=500)


class CancelIn(Schema):
    reason: str = Field(min_length=1, max_length=200, description="撤销原因")


class ItemOut(Schema):
    id: int
    campaign_id: int
    account_id: int
    username: str = Field(description="用户名")
    name: str = Field(description="姓名")
    institution_id: int
    reviewing_institution_id: int
    due_on: date
    state: str = Field(description="normal、due、overdue、confirmed、suspended、disabled")
    findings: list[str] = Field(description="例外代码")
    grants: list[str] = Field(description="纳入时的角色")
    decision: str = Field(description="keep、change、disable；空为未作结论")
    decided_at: datetime | None
    decided_by_id: int | None

    @staticmethod
    def resolve_username(item: ReviewItem) -> str:
        return str(item.snapshot["username"])

    @staticmethod
    def resolve_name(item: ReviewItem) -> str:
        return str(item.snapshot["name"])

    @staticmethod
    def resolve_findings(item: ReviewItem) -> list[str]:
        return list(item.snapshot["findings"])

    @staticmethod
    def resolve_grants(item: ReviewItem) -> list[str]:
        return list(item.snapshot["grants"])

    @staticmethod
    def resolve_state(item: ReviewItem) -> str:
        return item.state_on(clock.local_day(clock.now())).value


class ItemFilter(Paging):
    campaign_id: int | None = Field(None, description="批次")
    state: State | None = Field(None, description="状态")
    mine: bool = Field(False, description="只看等待我年审的")


class ProofIn(Schema):
    password: str = Field("", max_length=128, description="登录密码，与动态口令二选一")
    code: str = Field("", max_length=8, description="动态口令")


class GiveIn(Schema):
    role: str = Field(description="角色代码")
    institutions: list[str] = Field(default_factory=list, description="机构编码")
    regions: list[str] = Field(default_factory=list, description="区划代码")


class DecisionIn(ProofIn):
    decision: Decision
    reason: str = Field("", max_length=500)
    revoke: list[int] = Field(default_factory=list, description="收回的授权编号")
    give: list[GiveIn] = Field(default_factory=list, description="增加的角色")


class BulkIn(ProofIn):
    items: list[int] = Field(min_length=1, max_length=500, description="年审账号编号")


class ConfirmedOut(Schema):
    confirmed: int = Field(description="确认保留的账号数")


class StartedRunOut(Schema):
    id: int
    kind: str
    title: str
    state: str


# Rounds


@router.get(
    "/campaigns", right=VIEW_RIGHT, rows=ReviewCampaign, response=Page[CampaignOut],
    summary="年审批次列表",
)  # fmt: skip
def campaigns(request: ApiRequest, paging: Query[Paging]) -> Any:
    found = ReviewCampaign.objects.visible_to(request.user)
    return paginate(found, paging, order={"opens_on": "opens_on", "year": "year"})


@router.act(
    "/campaigns", right=MANAGE_RIGHT, rows=Institution, response=CampaignOut,
    summary="发起年审批次",
    example={"institution_id": 1, "year": 2026, "due_on": "2026-12-31"},
)  # fmt: skip
def open_campaign(request: ApiRequest, content: CampaignIn) -> Any:
    places = request.user.scope(MANAGE_RIGHT).limit(Institution.objects.all(), "pk")
    institution = places.filter(pk=content.institution_id).first()
    if institution is None:
        raise NotFound("没有找到该机构，或它不在您的管理范围内。", field="institution_id")
    campaign, _ = services.open_campaign(
        institution=institution,
        year=content.year,
        due_on=content.due_on,
        title=content.title,
        note=content.note,
        by=request.user,
        at=request.at,
    )
    return campaign


def _campaign(request: ApiRequest, pk: int) -> ReviewCampaign:
    rows = request.user.scope(MANAGE_RIGHT).limit(ReviewCampaign.objects.all(), "institution")
    found = rows.filter(pk=pk).first()
    if found is None:
        raise NotFound("没有找到该年审批次，或它不在您的管理范围内。")
    return found


@router.act(
    "/campaigns/{campaign_id}/close", right=MANAGE_RIGHT, rows=ReviewCampaign,
    response=CampaignOut, summary="结束年审批次",
)  # fmt: skip
def close_campaign(request: ApiRequest, campaign_id: int) -> Any:
    return services.close_campaign(
        campaign=_campaign(request, campaign_id), by=request.user, at=request.at
    )


@router.act(
    "/campaigns/{campaign_id}/cancel", right=MANAGE_RIGHT, rows=ReviewCampaign,
    response=CampaignOut, summary="撤销年审批次", example={"reason": "范围选错"},
)  # fmt: skip
def cancel_campaign(request: ApiRequest, campaign_id: int, content: CancelIn) -> Any:
    return services.cancel_campaign(
        campaign=_campaign(request, campaign_id),
        by=request.user,
        at=request.at,
        reason=content.reason,
    )


# Accounts


@router.get(
    "/review-items", right=VIEW_RIGHT, rows=ReviewItem, response=Page[ItemOut],
    summary="年审账号列表",
)  # fmt: skip
def items(request: ApiRequest, wanted: Query[ItemFilter]) -> Any:
    found: QuerySet[ReviewItem] = ReviewItem.objects.visible_to(request.user)
    if wanted.mine:
        found = found.filter(pk__in=queries.work_list(request.user).values("pk"))
    if wanted.campaign_id is not None:
        found = found.filter(campaign=wanted.campaign_id)
    if wanted.state is not None:
        today = clock.local_day(request.at)
        found = found.in_state(wanted.state, today)  # type: ignore[attr-defined]
    return paginate(found, wanted, order={"due_on": "due_on", "decided_at": "decided_at"})


def _item(request: ApiRequest, pk: int) -> ReviewItem:
    found = ReviewItem.objects.visible_to(request.user).filter(pk=pk).first()
    if found is None:
        raise NotFound("没有找到该年审账号，或它不在您的数据范围内。")
    return found


@router.get(
    "/review-items/{int:item_id}", right=VIEW_RIGHT, rows=ReviewItem, response=ItemOut,
    summary="年审账号",
)  # fmt: skip
def item(request: ApiRequest, item_id: int) -> Any:
    return _item(request, item_id)


@router.act(
    "/review-items/{int:item_id}/decide", right=REVIEW_RIGHT, rows=ReviewItem, response=ItemOut,
    summary="作出年审结论",
    description="由上级机构人员对账号作保留、调整或停用结论，并以密码或动态口令签名。",
    example={"decision": "keep", "code": "123456"},
)  # fmt: skip
def decide(request: ApiRequest, item_id: int, content: DecisionIn) -> Any:
    return services.decide(
        item=_item(request, item_id),
        decision=content.decision,
        by=request.user,
        at=request.at,
        proof=services.Proof(content.password, content.code),
        reason=content.reason,
        change=services.Change(
            frozenset(content.revoke), [_give(request, one) for one in content.give]
        ),
    )


def _give(request: ApiRequest, wanted: GiveIn) -> services.NewGrant:
    """The role to give; an institution out of reach reads like one that is not there."""
    role = Role.objects.filter(code=wanted.role, active=True).first()
    if role is None:
        raise Invalid(f"没有角色“{wanted.role[:40]}”，请核对角色代码。", field="give")
    reach = Institution.objects.reached_by(request.user, REVIEW_RIGHT)
    places = list(reach.filter(code__in=wanted.institutions))
    areas = list(Region.objects.filter(code__in=[full_code(code) for code in wanted.regions]))
    if len(places) != len(set(wanted.institutions)) or len(areas) != len(set(wanted.regions)):
        raise Invalid("增加角色的机构编码或区划代码有误，请核对。", field="give")
    return services.NewGrant(role, places, areas)


@router.act(
    "/review-items/confirm", right=REVIEW_RIGHT, rows=ReviewItem, response=ConfirmedOut,
    summary="批量确认保留", description="仅限角色未变且没有例外的账号；有一个不符合即全部不保存。",
    example={"items": [1, 2], "code": "123456"},
)  # fmt: skip
def confirm(request: ApiRequest, content: BulkIn) -> Any:
    found = list(ReviewItem.objects.visible_to(request.user).filter(pk__in=content.items))
    if len(found) != len(set(content.items)):
        raise NotFound("所选年审账号中有的不存在，或不在您的数据范围内。", field="items")
    done = services.confirm_in_bulk(
        items=found,
        by=request.user,
        at=request.at,
        proof=services.Proof(content.password, content.code),
    )
    return {"confirmed": len(done)}


# The journal


class EntryOut(Schema):
    id: int
    recorded_at: datetime
    occurred_at: datetime
    act: str = Field(description="操作代码")
    title: str = Field(description="操作")
    by: str = Field(description="操作人")
    address: str
    object_type: str
    object_id: str
    object_label: str
    reason: str
    result: str = Field(description="done、refused")


class EntriesOut(Schema):
    items: list[EntryOut]
    total: int = Field(description="条数，最多数到 10000")
    more: bool = Field(description="实际条数超过 total")
    page: int
    size: int


class EntryFilter(Schema):
    page: int = Field(1, ge=1, le=10_000)
    size: int = Field(50, ge=1, le=200)
    since: datetime | None = Field(None, description="登记时间起")
    until: datetime | None = Field(None, description="登记时间止（不含）")
    account_id: int | None = Field(None, ge=1, le=2**62)
    act: str = Field("", max_length=120)
    object_type: str = Field("", max_length=120)
    object_id: str = Field("", max_length=120)
    result: str = Field("", max_length=10)
    text: str = Field("", max_length=100, description="操作人、对象或原因中的词")


@router.get("/journal", right=journal.SEARCH_RIGHT, response=EntriesOut, summary="检索审计日志")
def search_journal(request: ApiRequest, wanted: Query[EntryFilter]) -> Any:
    journal.require_whole_view(request.user)
    criteria = audit_queries.Criteria(
        **{name: _clean(value) for name, value in wanted.dict(exclude={"page", "size"}).items()}
    )
    found = audit_queries.search(criteria, page=wanted.page, size=wanted.size)
    return {
        "items": [
            {
                **{name: getattr(line.entry, name) for name in ENTRY_COLUMNS},
                "title": line.title,
                "by": line.by,
            }
            for line in found.items
        ],
        "total": found.total,
        "more": found.more,
        "page": found.page,
        "size": found.size,
    }


ENTRY_COLUMNS = (
    "id", "recorded_at", "occurred_at", "act", "address", "object_type", "object_id",
    "object_label", "reason", "result",
)  # fmt: skip


def _clean(value: Any) -> Any:
    """PostgreSQL knows no zero character; nothing in the journal holds one."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=clock.SHANGHAI)
    return value


@router.get("/journal/export", right=journal.EXPORT_RIGHT, summary="导出审计日志（CSV）")
def export_journal(request: ApiRequest, wanted: Query[EntryFilter]) -> Any:
    """最多 10 万条；page、size 不起作用。导出本身记入日志。"""
    journal.require_whole_view(request.user, journal.EXPORT_RIGHT)
    asked = {k: _clean(v) for k, v in wanted.dict(exclude={"page", "size"}).items()}
    text = services.export_journal(
        criteria=audit_queries.Criteria(**asked),
        conditions={name: str(value) for name, value in asked.items() if value},
        by=request.user,
        at=request.at,
    )
    return HttpResponse(text, content_type="text/csv; charset=utf-8")


class PositionOut(Schema):
    entry_id: int
    seq: int | None = Field(description="链上序号；空为尚未入链")
    hash: str
    anchored: bool = Field(description="是否已被锚点覆盖")
    verified: bool = Field(description="是否已校验完好")


@router.get(
    "/journal/{entry_id}/position", right=journal.SEARCH_RIGHT, response=PositionOut,
    summary="审计日志在链上的位置",
)  # fmt: skip
def entry_position(request: ApiRequest, entry_id: int) -> Any:
    journal.require_whole_view(request.user)
    place = journal.detail(entry_id).position
    return {
        "entry_id": entry_id,
        "seq": place.link.seq if place.link else None,
        "hash": place.link.hash if place.link else "",
        "anchored": place.anchor is not None,
        "verified": place.verification is not None,
    }


@router.act(
    "/journal/verify",
    right=journal.VERIFY_RIGHT,
    response=StartedRunOut,
    summary="校验审计日志完整性",
)
def verify_journal(request: ApiRequest) -> Any:
    return start_run(kind=VERIFY_RUN, title="校验审计日志完整性", by=request.user, at=request.at)


class SavedIn(Schema):
    name: str = Field(min_length=1, max_length=40, description="名称")
    query: dict[str, str] = Field(description="查询条件")


class SavedOut(Schema):
    id: int
    name: str
    query: dict[str, str]


@router.act(
    "/journal/searches", right=journal.SEARCH_RIGHT, response=SavedOut, summary="保存常用日志查询",
    example={"name": "谁看过明文", "query": {"act": audit.UNMASKED}},
)  # fmt: skip
def save_search(request: ApiRequest, content: SavedIn) -> Any:
    query = {name[:40]: value[:200] for name, value in list(content.query.items())[:20]}
    return services.save_search(account=request.user, name=content.name, query=query, at=request.at)


@router.get(
    "/journal/searches", right=journal.SEARCH_RIGHT, response=list[SavedOut],
    summary="我的常用日志查询",
)  # fmt: skip
def searches(request: ApiRequest) -> Any:
    return list(SavedSearch.objects.visible_to(request.user))


@router.act(
    "/journal/searches/{search_id}/remove", right=journal.SEARCH_RIGHT, summary="删除常用日志查询"
)
def delete_search(request: ApiRequest, search_id: int) -> None:
    saved = one(SavedSearch.objects.visible_to(request.user), search_id)
    services.delete_search(saved=saved, by=request.user, at=request.at)
