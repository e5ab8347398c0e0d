"""Notices over the API: the same questions and acts, under the same rights and scopes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from ninja import Query, Schema
from pydantic import Field

from kangwei.kernel import clock
from kangwei.kernel.api.content import ReasonIn
from kangwei.kernel.api.paging import Page, Paging, paginate
from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.notices import queries, registry, services
from kangwei.kernel.notices.models import (
    Address,
    Attempt,
    Channel,
    ChannelKind,
    Delivery,
    DutyRoster,
    Escalation,
    EscalationPolicy,
    Substitution,
    Watch,
)
from kangwei.kernel.notices.models.channels import GROUP_KINDS
from kangwei.kernel.notices.refusals import BadChannel, BadRoster
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import LevelSpec
from kangwei.kernel.organisations.models import Account, Institution
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.refusals import Invalid, NotFound, NotPermitted

router = KwRouter(tag="通知")
KINDS = "dingtalk、wecom、feishu、email、sms、voice、webhook"
VIEW = "notices.view_delivery"


class Counted(Schema):
    count: int = Field(description="条数")


class SendingOut(Schema):
    """Something on its way out: ask again with its number until `open` is false."""

    delivery_id: UUID = Field(validation_alias="id", description="投递号")
    open: bool = Field(validation_alias="is_open", description="仍在发送，请稍后再查")
    state: str = Field(description="due、sending、sent、failed")
    reason: str = Field(description="失败或等待的原因")
    sent_at: datetime | None
    latency_ms: int | None = Field(description="对方应答耗时，毫秒")


@router.get(
    "/sendings/{delivery_id}",
    right=None,
    rows=Delivery,
    response=SendingOut,
    summary="发送状态",
    description="本人收到的、本人有权查看的投递，以及本人维护的渠道的测试消息。",
)
def sending(request: ApiRequest, delivery_id: UUID) -> Any:
    return one(queries.followed_by(request.user), str(delivery_id))


# Inbox (我的消息)


class MessageOut(Schema):
    id: UUID = Field(description="投递号")
    title: str = Field(validation_alias="notice.title")
    body: str = Field(validation_alias="notice.body", description="正文，Markdown")
    priority: int = Field(description="0 提示、1 一般、2 重要、3 紧急")
    about: str = Field(validation_alias="notice.about_label", description="对象")
    link: str = Field(validation_alias="notice.link")
    created_at: datetime
    read_at: datetime | None


class InboxFilter(Paging):
    unread: bool = Field(False, description="只看未读")


@router.get("/inbox", right=None, rows=Delivery, response=Page[MessageOut], summary="我的消息")
def inbox(request: ApiRequest, wanted: Query[InboxFilter]) -> Any:
    rows = queries.inbox(request.user)
    if wanted.unread:
        rows = rows.filter(read_at=None)
    return paginate(rows, wanted, order={"created_at": "created_at", "priority": "priority"})


@router.get("/inbox/unread", right=None, response=Counted, summary="未读消息数")
def unread(request: ApiRequest) -> Any:
    return {"count": queries.unread_count(request.user)}


@router.act(
    "/inbox/{delivery_id}/read",
    right=None,
    rows=Delivery,
    response=Counted,
    summary="标为已读",
)
def read(request: ApiRequest, delivery_id: UUID) -> Any:
    row = one(queries.inbox(request.user), str(delivery_id))
    return {"count": services.mark_read(account=request.user, at=request.at, delivery=row)}


@router.act("/inbox/read-all", right=None, response=Counted, summary="全部标为已读")
def read_all(request: ApiRequest) -> Any:
    return {"count": services.mark_read(account=request.user, at=request.at)}


# Addresses, preferences, quiet hours (通知设置)


class AddressOut(Schema):
    id: int
    account_id: int
    kind: str = Field(description="email、sms、voice")
    shown: str = Field(description="脱敏后的地址")
    verified_at: datetime | None
    enabled: bool


class AddressIn(Schema):
    kind: str = Field(description="email、sms、voice", examples=["sms"])
    value: str = Field(min_length=3, max_length=254, examples=["13800001111"])


class AddressCodeIn(Schema):
    code: str = Field(min_length=6, max_length=6, pattern=r"^\d{6}$", description="验证码")


class CodeAnswerOut(Schema):
    verified: bool = Field(description="验证码是否正确")
    message: str


class PreferencesIn(Schema):
    low: list[str] = Field(default=[], max_length=8, description=f"提示：{KINDS}")
    normal: list[str] = Field(default=[], max_length=8, description="一般")
    high: list[str] = Field(default=[], max_length=8, description="重要")
    urgent: list[str] = Field(default=[], max_length=8, description="紧急")


class QuietIn(Schema):
    start: time | None = Field(None, description="开始，留空表示取消")
    end: time | None = Field(None, description="结束，可在次日")
    rest_days: bool = Field(False, description="休息日全天")
    break_from: int = Field(3, ge=2, le=3, description="达到该级别照常发送")
    action: str = Field("hold", pattern="^(hold|suppress)$", description="hold 延后、suppress 不发")


def _own(request: ApiRequest, address_id: int) -> Address:
    rows = Address.objects.filter(account=request.user).select_related("account")
    return one(rows, address_id)


@router.get(
    "/my/addresses", right=None, rows=Address, response=list[AddressOut], summary="我的通知地址"
)
def my_addresses(request: ApiRequest) -> Any:
    return list(Address.objects.filter(account=request.user))


@router.act("/my/addresses", right=None, response=AddressOut, summary="登记通知地址")
def add_address(request: ApiRequest, content: AddressIn) -> Any:
    return services.add_address(
        account=request.user, kind=content.kind, value=content.value, by=request.user,
        at=request.at,
    )  # fmt: skip


@router.act(
    "/my/addresses/{address_id}/ask-code",
    right=None,
    rows=Address,
    response=SendingOut,
    summary="发送验证码",
    description="验证码排入发送队列；凭返回的投递号查询是否已发出。",
)
def ask_code(request: ApiRequest, address_id: int) -> Any:
    return services.ask_for_code(address=_own(request, address_id), at=request.at)


@router.act(
    "/my/addresses/{address_id}/confirm",
    right=None,
    rows=Address,
    response=CodeAnswerOut,
    summary="验证通知地址",
)
def confirm(request: ApiRequest, address_id: int, content: AddressCodeIn) -> Any:
    address = _own(request, address_id)
    return asdict(services.confirm_address(address=address, code=content.code, at=request.at))


@router.act("/my/addresses/{address_id}/remove", right=None, rows=Address, summary="删除通知地址")
def remove_address(request: ApiRequest, address_id: int) -> Any:
    services.remove_address(address=_own(request, address_id), by=request.user, at=request.at)


@router.act("/my/preferences", right=None, summary="设置接收方式")
def set_preferences(request: ApiRequest, content: PreferencesIn) -> Any:
    kinds = {0: content.low, 1: content.normal, 2: content.high, 3: content.urgent}
    services.set_preferences(account=request.user, kinds=kinds, by=request.user, at=request.at)


@router.act("/my/quiet-hours", right=None, summary="设置免打扰时段")
def set_quiet_hours(request: ApiRequest, content: QuietIn) -> Any:
    services.set_quiet_hours(
        account=request.user, by=request.user, at=request.at, **content.model_dump()
    )


@router.get(
    "/addresses",
    right="notices.view_address",
    rows=Address,
    response=Page[AddressOut],
    summary="通知地址列表",
)
def addresses(request: ApiRequest, paging: Query[Paging]) -> Any:
    return paginate(Address.objects.visible_to(request.user), paging)


@router.act(
    "/addresses/{address_id}/verify",
    right="notices.manage_address",
    rows=Address,
    response=AddressOut,
    summary="确认地址有效",
)
def verify(request: ApiRequest, address_id: int, content: ReasonIn) -> Any:
    row = one(Address.objects.reached_by(request.user, "notices.manage_address"), address_id)
    return services.verify_by_hand(
        address=row, by=request.user, at=request.at, reason=content.reason
    )


class PersonOut(Schema):
    id: int
    username: str
    name: str
    institution_id: int


@router.get(
    "/people-without-address",
    right="notices.view_address",
    rows=Account,
    response=Page[PersonOut],
    summary="无有效地址的人员",
)
def without_address(request: ApiRequest, paging: Query[Paging]) -> Any:
    return paginate(queries.accounts_without_address(request.user), paging)


# Channels (渠道)


class ChannelOut(Schema):
    id: int
    name: str
    kind: str = Field(description=KINDS)
    institution_id: int | None
    address: str
    options: dict[str, Any]
    secret_names: list[str] = Field(description="已保存的密钥名称，密钥本身不返回")
    per_minute: int
    fallback_id: int | None
    enabled: bool
    order: int
    state: str = Field(validation_alias="health.title", description="正常、故障")
    failing_since: datetime | None = Field(validation_alias="health.failing_since")
    muted_until: datetime | None = Field(validation_alias="health.muted_until")
    last_error: str = Field(validation_alias="health.last_error")
    proof: str = Field(description="未经实机验证时注明")

    @staticmethod
    def resolve_secret_names(row: Channel) -> list[str]:
        return row.secret_names()


class ChannelIn(Schema):
    name: str = Field(min_length=1, max_length=60)
    kind: str = Field(description=KINDS, examples=["dingtalk"])
    institution_id: int | None = Field(None, description="留空表示全平台共用")
    address: str = Field(min_length=3, max_length=300, examples=["https://oapi.dingtalk.com"])
    options: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] | None = Field(None, description="不填则不修改；空值删除该密钥")
    per_minute: int = Field(15, ge=1, le=6000)
    fallback_id: int | None = None
    keepers: list[int] | None = Field(None, max_length=50, description="渠道负责人的账号编号")
    enabled: bool = True
    order: int = Field(100, ge=0, le=9999)


class TestIn(Schema):
    recipient: str = Field("", max_length=254, description="群机器人和接口推送可留空")


MANAGE_CHANNEL = "notices.manage_channel"


def _place(request: ApiRequest, right: str, institution_id: int | None) -> Institution | None:
    """An institution in reach; the whole platform only for who reaches everything."""
    if institution_id is None:
        if not request.user.scope(right).everything:
            raise NotPermitted(
                "只有数据范围为“全部”的账号可以维护全平台共用的配置，请填写所属机构。"
            )
        return None
    return one(Institution.objects.reached_by(request.user, right), institution_id)


def _fill_channel(request: ApiRequest, row: Channel, content: ChannelIn) -> Channel:
    if content.kind not in ChannelKind.values or content.kind == ChannelKind.INAPP:
        raise BadChannel(f"渠道类型只能是 {KINDS}。", field="kind")
    row.name, row.kind, row.address = content.name, content.kind, content.address
    row.institution = _place(request, MANAGE_CHANNEL, content.institution_id)
    row.options, row.per_minute = content.options, content.per_minute
    row.enabled, row.order = content.enabled, content.order
    row.fallback = None
    if content.fallback_id is not None:
        row.fallback = one(Channel.objects.visible_to(request.user), content.fallback_id)
    keepers = None
    if content.keepers is not None:
        keepers = list(Account.objects.visible_to(request.user).filter(pk__in=content.keepers))
    return services.save_channel(
        channel=row, secrets=content.secrets, keepers=keepers, by=request.user, at=request.at
    )


@router.get(
    "/channels",
    right="notices.view_channel",
    rows=Channel,
    response=Page[ChannelOut],
    summary="通知渠道列表",
)
def channels(request: ApiRequest, paging: Query[Paging]) -> Any:
    rows = Channel.objects.visible_to(request.user).select_related("health")
    return paginate(rows, paging, order={"name": "name", "kind": "kind"})


@router.act("/channels", right=MANAGE_CHANNEL, response=ChannelOut, summary="新增通知渠道")
def create_channel(request: ApiRequest, content: ChannelIn) -> Any:
    return _fill_channel(request, Channel(), content)


@router.act(
    "/channels/{channel_id}/change",
    right=MANAGE_CHANNEL,
    rows=Channel,
    response=ChannelOut,
    summary="修改通知渠道",
)
def change_channel(request: ApiRequest, channel_id: int, content: ChannelIn) -> Any:
    row = one(Channel.objects.reached_by(request.user, MANAGE_CHANNEL), channel_id)
    return _fill_channel(request, row, content)


@router.act(
    "/channels/{channel_id}/test",
    right=MANAGE_CHANNEL,
    rows=Channel,
    response=SendingOut,
    summary="发送测试消息",
    description="测试消息排入发送队列；凭返回的投递号查询对方的应答。",
)
def test_channel(request: ApiRequest, channel_id: int, content: TestIn) -> Any:
    row = one(Channel.objects.reached_by(request.user, MANAGE_CHANNEL), channel_id)
    return services.test_channel(
        channel=row, recipient=content.recipient, by=request.user, at=request.at
    )


# Templates (模板)


class NoticeTemplateOut(Schema):
    code: str
    name: str
    version: int = Field(description="0 为出厂文字")
    title: str
    body: str
    short: str
    variables: list[str]


class TemplateIn(Schema):
    title: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=8000)
    short: str = Field(min_length=1, max_length=500)
    note: str = Field(min_length=1, max_length=200, description="修改说明")


def _template_out(code: str) -> dict[str, Any]:
    found = queries.template(code)
    number, words = queries.current_words(found)
    names = [variable.name for variable in found.all_variables]
    return {
        "code": found.code, "name": found.name, "version": number, "title": words.title,
        "body": words.body, "short": words.short, "variables": names,
    }  # fmt: skip


@router.get(
    "/templates",
    right="notices.view_template",
    response=list[NoticeTemplateOut],
    summary="通知模板列表",
)
def templates(request: ApiRequest) -> Any:
    return [_template_out(code) for code in registry.templates()]


@router.act(
    "/templates/{code}/change",
    right="notices.manage_template",
    response=NoticeTemplateOut,
    summary="修改通知模板",
)
def change_template(request: ApiRequest, code: str, content: TemplateIn) -> Any:
    services.edit_template(code=code, by=request.user, at=request.at, **content.model_dump())
    return _template_out(code)


# Duty rosters (值班表)


class RosterOut(Schema):
    id: int
    code: str
    name: str
    institution_id: int
    rotation: str = Field(description="daily 按日、weekly 按周")
    handover: time
    starts_on: date
    enabled: bool
    members: list[int]
    rest_day_members: list[int]

    @staticmethod
    def resolve_members(row: DutyRoster) -> list[int]:
        return [turn.account_id for turn in row.turns.all() if not turn.rest_days]

    @staticmethod
    def resolve_rest_day_members(row: DutyRoster) -> list[int]:
        return [turn.account_id for turn in row.turns.all() if turn.rest_days]


class RosterIn(Schema):
    code: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    name: str = Field(min_length=1, max_length=60)
    institution_id: int
    rotation: str = Field("weekly", pattern="^(daily|weekly)$")
    handover: time
    starts_on: date
    enabled: bool = True
    members: list[int] = Field(max_length=100, description="账号编号，按轮值顺序")
    rest_day_members: list[int] = Field(default=[], max_length=100, description="休息日轮值")


class DutyOut(Schema):
    day: date
    working: bool = Field(description="是否工作日（含调休）")
    account_id: int | None
    turn_of: int | None = Field(description="原本轮到的人")
    reason: str


class DutyFilter(Schema):
    first: date = Field(description="起始日期")
    days: int = Field(31, ge=1, le=62, description="天数")


class SubstitutionIn(Schema):
    absent_id: int
    stands_in_id: int
    start: datetime
    end: datetime
    reason: str = Field(min_length=1, max_length=200)


class SubstitutionOut(Schema):
    id: int
    roster_id: int
    absent_id: int
    stands_in_id: int
    start: datetime
    end: datetime
    reason: str
    cancelled_at: datetime | None


MANAGE_ROSTER = "notices.manage_dutyroster"


def _people(request: ApiRequest, ids: list[int], place: Institution) -> list[Account]:
    """Accounts in reach or of the roster's own institution, in the order given."""
    known = {row.pk: row for row in Account.objects.filter(institution=place, pk__in=ids)}
    known |= {row.pk: row for row in Account.objects.visible_to(request.user).filter(pk__in=ids)}
    if missing := [pk for pk in ids if pk not in known]:
        raise BadRoster(f"编号为 {missing[0]} 的账号不存在或不在您的数据范围内。", field="members")
    return [known[pk] for pk in ids]


def _save_roster(request: ApiRequest, row: DutyRoster, content: RosterIn) -> DutyRoster:
    place = _place(request, MANAGE_ROSTER, content.institution_id)
    assert place is not None
    for name in ("code", "name", "rotation", "handover", "starts_on", "enabled"):
        setattr(row, name, getattr(content, name))
    row.institution = place
    return services.save_roster(
        roster=row,
        members=_people(request, content.members, place),
        rest_day_members=_people(request, content.rest_day_members, place),
        by=request.user,
        at=request.at,
    )


@router.get(
    "/rosters",
    right="notices.view_dutyroster",
    rows=DutyRoster,
    response=Page[RosterOut],
    summary="值班表列表",
)
def rosters(request: ApiRequest, paging: Query[Paging]) -> Any:
    rows = DutyRoster.objects.visible_to(request.user).prefetch_related("turns")
    return paginate(rows, paging, order={"name": "name", "code": "code"})


@router.get(
    "/rosters/{roster_id}/duty",
    right="notices.view_dutyroster",
    rows=DutyRoster,
    response=list[DutyOut],
    summary="每日当班人",
)
def duty(request: ApiRequest, roster_id: int, wanted: Query[DutyFilter]) -> Any:
    row = one(DutyRoster.objects.visible_to(request.user), roster_id)
    if not 1950 <= wanted.first.year <= 2150:
        raise Invalid("起始日期应在 1950 年到 2150 年之间。", field="first")
    return [
        {
            "day": item.day,
            "working": item.working,
            "account_id": item.duty.person if item.duty else None,
            "turn_of": item.duty.turn_of if item.duty else None,
            "reason": item.duty.reason if item.duty else "无人值班",
        }
        for item in queries.duty_days(row, wanted.first, wanted.days)
    ]


@router.act("/rosters", right=MANAGE_ROSTER, response=RosterOut, summary="新增值班表")
def create_roster(request: ApiRequest, content: RosterIn) -> Any:
    return _save_roster(request, DutyRoster(), content)


@router.act(
    "/rosters/{roster_id}/change",
    right=MANAGE_ROSTER,
    rows=DutyRoster,
    response=RosterOut,
    summary="修改值班表",
)
def change_roster(request: ApiRequest, roster_id: int, content: RosterIn) -> Any:
    row = one(DutyRoster.objects.reached_by(request.user, MANAGE_ROSTER), roster_id)
    return _save_roster(request, row, content)


@router.act(
    "/rosters/{roster_id}/substitute",
    right=MANAGE_ROSTER,
    rows=DutyRoster,
    response=SubstitutionOut,
    summary="登记替班",
)
def substitute(request: ApiRequest, roster_id: int, content: SubstitutionIn) -> Any:
    row = one(DutyRoster.objects.reached_by(request.user, MANAGE_ROSTER), roster_id)
    absent, stands_in = _people(request, [content.absent_id, content.stands_in_id], row.institution)
    return services.add_substitution(
        roster=row, absent=absent, stands_in=stands_in, start=content.start, end=content.end,
        reason=content.reason, by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/substitutions/{substitution_id}/cancel",
    right=MANAGE_ROSTER,
    rows=Substitution,
    response=SubstitutionOut,
    summary="撤销替班",
)
def cancel_substitution(request: ApiRequest, substitution_id: int) -> Any:
    reached = DutyRoster.objects.reached_by(request.user, MANAGE_ROSTER)
    row = one(Substitution.objects.filter(roster__in=reached), substitution_id)
    return services.cancel_substitution(substitution=row, by=request.user, at=request.at)


# Escalation policies and escalations (升级)


class TargetIn(Schema):
    kind: str = Field(pattern="^(account|role|duty|robot)$", examples=["duty"])
    account_id: int | None = None
    role: str = Field("", max_length=40, description="角色代码")
    institution_id: int | None = Field(None, description="角色所在机构，留空为对象所属机构")
    roster: str = Field("", max_length=40, description="值班表代码")
    channel_id: int | None = None


class LevelIn(Schema):
    after_minutes: int = Field(ge=0, le=10080, description="开始后多少分钟")
    kinds: list[str] = Field(default=[], max_length=8, description=f"渠道类型：{KINDS}")
    targets: list[TargetIn] = Field(min_length=1, max_length=30)


class EscalationPolicyIn(Schema):
    code: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    name: str = Field(min_length=1, max_length=60)
    institution_id: int | None = None
    priority: int = Field(3, ge=0, le=3)
    acknowledged_for: int = Field(120, ge=1, le=1440, description="认领时限，分钟")
    repeat_every: int = Field(30, ge=0, le=1440, description="重复提醒间隔，分钟，0 不重复")
    tell_end: bool = True
    enabled: bool = True
    levels: list[LevelIn] = Field(min_length=1, max_length=9)


class LevelOut(Schema):
    number: int
    after_minutes: int
    kinds: list[str]
    targets: list[str]

    @staticmethod
    def resolve_targets(row: Any) -> list[str]:
        return [str(target) for target in row.targets.all()]


class EscalationPolicyOut(Schema):
    id: int
    code: str
    name: str
    institution_id: int | None
    priority: int
    acknowledged_for: int
    repeat_every: int
    tell_end: bool
    enabled: bool
    version: int
    levels: list[LevelOut]

    @staticmethod
    def resolve_levels(row: EscalationPolicy) -> list[Any]:
        return list(row.levels.all())


MANAGE_POLICY = "notices.manage_escalationpolicy"


def _save_policy(
    request: ApiRequest, row: EscalationPolicy, content: EscalationPolicyIn
) -> EscalationPolicy:
    row.institution = _place(request, MANAGE_POLICY, content.institution_id)
    for name in (
        "code", "name", "priority", "acknowledged_for", "repeat_every", "tell_end", "enabled",
    ):  # fmt: skip
        setattr(row, name, getattr(content, name))
    _check_reach(request, content.levels)
    levels = [
        LevelSpec(
            level.after_minutes,
            [Target(**target.model_dump()) for target in level.targets],
            level.kinds,
        )
        for level in content.levels
    ]
    return services.save_policy(policy=row, levels=levels, by=request.user, at=request.at)


def _check_reach(request: ApiRequest, levels: list[LevelIn]) -> None:
    """People, rosters and channels of other organisations are as if they did not exist."""
    user = request.user
    for target in (target for level in levels for target in level.targets):
        reach: dict[str, QuerySet[Any]] = {
            "account": Account.objects.visible_to(user).filter(pk=target.account_id or 0),
            "duty": DutyRoster.objects.visible_to(user).filter(code=target.roster),
            "robot": Channel.objects.visible_to(user).filter(
                pk=target.channel_id or 0, kind__in=GROUP_KINDS
            ),
        }
        found = reach.get(target.kind)
        if found is not None and not found.exists():
            raise NotFound("通知对象不存在，或不在您的数据范围内，请重新选择。", field="levels")
        if target.institution_id is not None:
            one(Institution.objects.visible_to(user), target.institution_id)


@router.get(
    "/policies",
    right="notices.view_escalationpolicy",
    rows=EscalationPolicy,
    response=Page[EscalationPolicyOut],
    summary="升级策略列表",
)
def policies(request: ApiRequest, paging: Query[Paging]) -> Any:
    rows = EscalationPolicy.objects.visible_to(request.user).prefetch_related("levels__targets")
    return paginate(rows, paging, order={"name": "name", "code": "code"})


@router.act("/policies", right=MANAGE_POLICY, response=EscalationPolicyOut, summary="新增升级策略")
def create_policy(request: ApiRequest, content: EscalationPolicyIn) -> Any:
    return _save_policy(request, EscalationPolicy(), content)


@router.act(
    "/policies/{policy_id}/change",
    right=MANAGE_POLICY,
    rows=EscalationPolicy,
    response=EscalationPolicyOut,
    summary="修改升级策略",
)
def change_policy(request: ApiRequest, policy_id: int, content: EscalationPolicyIn) -> Any:
    row = one(EscalationPolicy.objects.reached_by(request.user, MANAGE_POLICY), policy_id)
    return _save_policy(request, row, content)


class EscalationOut(Schema):
    id: int
    policy_id: int
    subject: str = Field(validation_alias="subject_label", description="对象")
    subject_type: str
    subject_id: str
    institution_id: int | None
    state: str = Field(description="running 升级中、acknowledged 已认领、stopped 已停止")
    level: int = Field(description="已通知到的级别")
    started_at: datetime
    acknowledged_by_id: int | None
    acknowledged_until: datetime | None
    stopped_at: datetime | None
    stop_reason: str
    next_at: datetime | None


class EventOut(Schema):
    kind: str
    at: datetime
    level: int
    by_id: int | None
    note: str


class EscalationDetail(EscalationOut):
    events: list[EventOut]

    @staticmethod
    def resolve_events(row: Escalation) -> list[Any]:
        return list(row.events.order_by("pk"))


class EscalationFilter(Paging):
    running: bool = Field(False, description="只看进行中的")


class AcknowledgeIn(Schema):
    minutes: int | None = Field(None, ge=1, le=1440, description="认领多少分钟，不超过策略时限")


@router.get(
    "/escalations",
    right="notices.view_escalation",
    rows=Escalation,
    response=Page[EscalationOut],
    summary="升级列表",
)
def escalations(request: ApiRequest, wanted: Query[EscalationFilter]) -> Any:
    rows = Escalation.objects.visible_to(request.user)
    if wanted.running:
        rows = rows.filter(stopped_at=None)
    return paginate(rows, wanted, order={"started_at": "started_at"})


@router.get(
    "/escalations/{escalation_id}",
    right="notices.view_escalation",
    rows=Escalation,
    response=EscalationDetail,
    summary="升级经过",
)
def escalation(request: ApiRequest, escalation_id: int) -> Any:
    return one(Escalation.objects.visible_to(request.user), escalation_id)


@router.act(
    "/escalations/{escalation_id}/acknowledge",
    right="notices.acknowledge_escalation",
    rows=Escalation,
    response=EscalationOut,
    summary="认领升级",
)
def acknowledge(request: ApiRequest, escalation_id: int, content: AcknowledgeIn) -> Any:
    reached = Escalation.objects.reached_by(request.user, "notices.acknowledge_escalation")
    return services.acknowledge_escalation(
        escalation=one(reached, escalation_id), by=request.user, at=request.at,
        minutes=content.minutes,
    )  # fmt: skip


@router.act(
    "/escalations/{escalation_id}/stop",
    right="notices.stop_escalation",
    rows=Escalation,
    response=EscalationOut,
    summary="停止升级",
)
def stop(request: ApiRequest, escalation_id: int, content: ReasonIn) -> Any:
    reached = Escalation.objects.reached_by(request.user, "notices.stop_escalation")
    return services.stop_escalation(
        escalation=one(reached, escalation_id), by=request.user, at=request.at,
        reason=content.reason,
    )  # fmt: skip


# Watch (守望)


class WatchOut(Schema):
    all_quiet: bool = Field(description="是否发送每日平安消息")
    channel_ids: list[int] = Field(description="平安消息发往的群")
    heartbeat: bool = Field(description="是否设置了心跳地址；地址不再显示")
    heartbeat_at: datetime | None
    heartbeat_ok: bool | None


class WatchIn(Schema):
    all_quiet: bool
    channel_ids: list[int] = Field(default_factory=list, max_length=50)
    heartbeat_url: str | None = Field(None, max_length=300, description="不填为不变，空为取消")


WATCH = "notices.manage_watch"


def _watch(row: Watch) -> dict[str, Any]:
    return {
        "all_quiet": row.all_quiet,
        "channel_ids": list(row.channels.values_list("pk", flat=True)),
        "heartbeat": bool(row.heartbeat_url),
        "heartbeat_at": row.heartbeat_at,
        "heartbeat_ok": row.heartbeat_ok,
    }


@router.get("/watch", right=WATCH, response=WatchOut, summary="守望设置")
def watch(request: ApiRequest) -> Any:
    return _watch(Watch.objects.filter(pk=1).first() or Watch(pk=1))


@router.act("/watch", right=WATCH, response=WatchOut, summary="修改守望设置")
def save_watch(request: ApiRequest, content: WatchIn) -> Any:
    reached = Channel.objects.visible_to(request.user).filter(kind__in=GROUP_KINDS)
    return _watch(
        services.save_watch(
            heartbeat_url=content.heartbeat_url, all_quiet=content.all_quiet,
            channels=[one(reached, number) for number in content.channel_ids],
            by=request.user, at=request.at,
        )
    )  # fmt: skip


# Deliveries (送达)


class DeliveryOut(Schema):
    id: UUID
    title: str = Field(validation_alias="notice.title")
    template: str = Field(validation_alias="notice.template")
    kind: str
    channel_id: int | None
    account_id: int | None
    institution_id: int | None
    shown: str = Field(description="接收方，已脱敏")
    priority: int
    state: str = Field(description="due、sending、sent、failed、merged、suppressed")
    why: str
    reason: str
    due_at: datetime
    sent_at: datetime | None
    late: bool
    attempts_made: int
    merged_into_id: UUID | None
    instead_of_id: UUID | None


class AttemptOut(Schema):
    number: int
    at: datetime
    channel_id: int
    verdict: str
    reason: str
    request: str = Field(description="请求，密钥已隐去")
    response_code: str
    response_body: str
    latency_ms: int


class DeliveryFilter(Paging):
    state: str = Field("", max_length=10)
    kind: str = Field("", max_length=10)
    since: datetime | None = Field(None, description="应发时间不早于")
    until: datetime | None = Field(None, description="应发时间早于")


class FiguresFilter(Schema):
    since: date = Field(description="起始日期，含")
    until: date = Field(description="截止日期，含")


class FiguresOut(Schema):
    due: int = Field(description="应发")
    sent: int = Field(description="已发送")
    failed: int = Field(description="失败")
    merged: int = Field(description="合并")
    suppressed: int = Field(description="抑制")
    waiting: int = Field(description="待发送")
    late: int = Field(description="迟到，超过 2 分钟")
    no_address: int = Field(description="无有效地址")
    replaced: int = Field(description="改走备用渠道")
    rate: float | None = Field(description="送达率")


@router.get(
    "/deliveries", right=VIEW, rows=Delivery, response=Page[DeliveryOut], summary="投递列表"
)
def deliveries(request: ApiRequest, wanted: Query[DeliveryFilter]) -> Any:
    rows = Delivery.objects.visible_to(request.user).select_related("notice")
    given = {
        "state": wanted.state, "kind": wanted.kind, "due_at__gte": wanted.since,
        "due_at__lt": wanted.until,
    }  # fmt: skip
    rows = rows.filter(**{name: value for name, value in given.items() if value})
    return paginate(rows, wanted, order={"due_at": "due_at", "priority": "priority"})


@router.get(
    "/deliveries/{delivery_id}/attempts",
    right=VIEW,
    rows=Attempt,
    response=list[AttemptOut],
    summary="发送尝试",
)
def attempts(request: ApiRequest, delivery_id: UUID) -> Any:
    row = one(Delivery.objects.visible_to(request.user), str(delivery_id))
    return list(row.attempts.all())


@router.act(
    "/deliveries/{delivery_id}/resend",
    right="notices.resend_delivery",
    rows=Delivery,
    response=DeliveryOut,
    summary="重新发送",
)
def resend(request: ApiRequest, delivery_id: UUID, content: ReasonIn) -> Any:
    reached = Delivery.objects.reached_by(request.user, "notices.resend_delivery")
    return services.resend(
        delivery=one(reached, str(delivery_id)), by=request.user, at=request.at,
        reason=content.reason,
    )  # fmt: skip


@router.get("/figures", right=VIEW, rows=Delivery, response=FiguresOut, summary="送达统计")
def figures(request: ApiRequest, wanted: Query[FiguresFilter]) -> Any:
    if wanted.until < wanted.since or wanted.until - wanted.since > timedelta(days=366):
        raise Invalid("截止日期应不早于起始日期，且相差不超过 366 天。", field="until")
    if not 1950 <= wanted.since.year <= 2150:
        raise Invalid("起始日期应在 1950 年到 2150 年之间。", field="since")
    start = datetime.combine(wanted.since, time(), clock.SHANGHAI)
    end = datetime.combine(wanted.until + timedelta(days=1), time(), clock.SHANGHAI)
    found = queries.delivery_figures(start, end, request.user.scope(VIEW), at=request.at)
    return {**asdict(found), "rate": found.rate}
