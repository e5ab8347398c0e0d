"""Which ways lead to a target (投递路径): from people and channels to deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import Q

from kangwei.kernel.calendar import queries as calendar
from kangwei.kernel.crypto import masking
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import (
    Channel,
    ChannelKind,
    ChannelPreference,
    Delivery,
    DeliveryState,
    DutyRoster,
    Notice,
    Priority,
    QuietAction,
    QuietHours,
    Why,
)
from kangwei.kernel.notices.models.channels import GROUP_KINDS, PERSONAL_KINDS, ROBOT_KINDS
from kangwei.kernel.notices.rules.quiet import held_until
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.organisations.models import Account, Grant, Role

#: What an urgent notice uses beside the in-app message even when nobody asked for it.
BY_PRIORITY: Mapping[int, tuple[str, ...]] = {Priority.URGENT: (ChannelKind.SMS,)}


@dataclass
class Audience:
    """Everybody a notice is for, each once, however many targets named them."""

    #: account → kinds beside in-app.
    people: dict[Account, list[str]] = field(default_factory=dict)
    #: group channel → accounts to call by name.
    groups: dict[Channel, list[int]] = field(default_factory=dict)
    #: (kind, address, institution) of people without account.
    addresses: list[tuple[str, str, int | None]] = field(default_factory=list)
    #: Targets that led to nobody, with the reason.
    nobody: list[str] = field(default_factory=list)


def audience(
    targets: Sequence[Target],
    *,
    institution_id: int | None,
    priority: int,
    at: datetime,
    avoid: Sequence[int] = (),
) -> Audience:
    """Resolve targets at a moment: roles by grants in force, rosters by whose duty it is."""
    found = Audience()
    for target in targets:
        match target.kind:
            case "robot":
                _add_group(found, target, avoid)
            case "address":
                place = target.institution_id or institution_id
                found.addresses.append((target.via[0], target.address, place))
            case _:
                people = _people(target, at)
                if not people:
                    found.nobody.append(_unanswered(target))
                for person in people:
                    kinds = found.people.setdefault(person, [])
                    outside = [kind for kind in target.via if kind != ChannelKind.INAPP]
                    kinds += [kind for kind in outside if kind not in kinds]
                    if not target.via:
                        _add_wanted(kinds, person, priority, avoid)
    for person, kinds in found.people.items():
        # A robot as a person's channel means: in the group, called by name.
        for kind in [kind for kind in kinds if kind in ROBOT_KINDS]:
            robot = queries.channel_for(kind, person.institution_id, avoid=avoid)
            if robot is not None:
                kinds.remove(kind)
                found.groups.setdefault(robot, []).append(person.pk)
    return found


def _add_group(found: Audience, target: Target, avoid: Sequence[int]) -> None:
    channel = Channel.objects.filter(pk=target.channel_id or 0, kind__in=GROUP_KINDS).first()
    if channel is None or channel.pk in avoid:
        found.nobody.append("群机器人渠道不存在，请在通知对象中重新选择。")
        return
    mention = found.groups.setdefault(channel, [])
    mention += [account for account in target.mention if account not in mention]


def _add_wanted(kinds: list[str], person: Account, priority: int, avoid: Sequence[int]) -> None:
    chosen = ChannelPreference.objects.filter(account=person, priority=priority).first()
    wanted = list(chosen.kinds) if chosen else []
    for kind in BY_PRIORITY.get(priority, ()):
        # A site without an SMS provider has not failed to send SMS.
        if queries.channel_for(kind, person.institution_id, avoid=avoid) is not None:
            wanted.append(kind)
    kinds += [kind for kind in dict.fromkeys(wanted) if kind not in kinds]


def _people(target: Target, at: datetime) -> list[Account]:
    accounts = Account.objects.select_related("institution")
    match target.kind:
        case "account":
            return list(accounts.filter(pk=target.account_id or 0))
        case "role":
            holding = Grant.objects.in_force(at).filter(role__code=target.role)
            if target.institution_id is not None:
                holding = holding.filter(account__institution=target.institution_id)
            active = Account.objects.active(at).select_related("institution")
            return list(active.filter(pk__in=holding.values("account")).order_by("pk"))
        case _:
            roster = DutyRoster.objects.filter(code=target.roster, enabled=True).first()
            duty = queries.duty(roster, at) if roster else None
            return list(accounts.filter(pk=duty.person)) if duty else []


def _unanswered(target: Target) -> str:
    match target.kind:
        case "role":
            known = Role.objects.filter(code=target.role).values_list("name", flat=True).first()
            title = known or target.role
            return f"机构内没有启用的账号拥有角色“{title}”，请授权或调整通知对象。"
        case "duty":
            return f"值班表“{target.roster}”此刻无人值班或已停用，请维护值班表。"
        case _:
            return "通知对象中的账号已不存在，请调整通知对象。"


def holders_of(right: str, institution_id: int | None, at: datetime) -> list[Account]:
    """Active accounts that hold a right for this institution (None: for the platform)."""
    granted = Grant.objects.in_force(at).filter(role__rights__contains=[right])
    candidates = Account.objects.active(at).filter(pk__in=granted.values("account"))
    return [
        person
        for person in candidates.order_by("pk")[:200]
        if person.scope(right).includes(institution_id)
    ]


# --- deliveries ------------------------------------------------------------------------------


def deliveries(
    notice: Notice, found: Audience, at: datetime, avoid: Sequence[int]
) -> list[Delivery]:
    """One row for each way; a way that leads nowhere is a row too, with its reason."""
    rows: list[Delivery] = []
    known = queries.addresses_of(person.pk for person in found.people)
    quiet = {
        row.account_id: row
        for row in QuietHours.objects.filter(account__in=[person.pk for person in found.people])
    }
    for person, kinds in found.people.items():
        if not person.is_usable(at):
            rows.append(_blocked(notice, person, ChannelKind.INAPP, Why.DISABLED, at))
            continue
        rows.append(_in_app(notice, person, at))
        for kind in kinds:
            channel = queries.channel_for(kind, person.institution_id, avoid=avoid)
            address = known.get((person.pk, kind))
            if channel is None:
                rows.append(_blocked(notice, person, kind, Why.NO_CHANNEL, at))
            elif kind in PERSONAL_KINDS and not address:
                rows.append(_blocked(notice, person, kind, Why.NO_ADDRESS, at))
            else:
                row = straight(notice, channel, at, account=person, recipient=address or "")
                if person.pk in quiet:
                    _respect(row, quiet[person.pk], at)
                rows.append(row)
    for channel, mention in found.groups.items():
        rows.append(straight(notice, channel, at, mention=mention))
    for kind, address, place in found.addresses:
        channel = queries.channel_for(kind, place, avoid=avoid)
        if channel is None:
            rows.append(_nowhere(notice, kind, Why.NO_CHANNEL, shown(kind, address), at))
        else:
            rows.append(straight(notice, channel, at, recipient=address))
    for reason in found.nobody:
        row = _nowhere(notice, ChannelKind.INAPP, Why.NOBODY, "—", at)
        row.reason = reason
        rows.append(row)
    return rows


def shown(kind: str, address: str) -> str:
    mask = masking.mask_email if kind == ChannelKind.EMAIL else masking.mask_phone
    return mask(address, masking.PARTLY)


def _row(notice: Notice, kind: str, label: str, at: datetime) -> Delivery:
    return Delivery(
        notice=notice,
        kind=kind,
        shown=label[:120],
        priority=notice.priority,
        institution_id=notice.institution_id,
        created_at=at,
        due_at=at,
        next_at=at,
    )


def _in_app(notice: Notice, person: Account, at: datetime) -> Delivery:
    """An in-app message is told by being written: exactly once, in the act's own transaction."""
    row = _row(notice, ChannelKind.INAPP, person.name, at)
    row.account, row.institution_id = person, person.institution_id
    row.state, row.sent_at, row.latency_ms = DeliveryState.SENT, at, 0
    return row


def straight(
    notice: Notice,
    channel: Channel,
    at: datetime,
    *,
    account: Account | None = None,
    recipient: str = "",
    mention: Sequence[int] = (),
) -> Delivery:
    """One delivery over one channel, to its group or to a recipient."""
    label = channel.name
    if recipient:
        label = shown(channel.kind, recipient)
    if account is not None:
        label = f"{account.name} {label}"
    row = _row(notice, channel.kind, label, at)
    row.channel, row.account, row.recipient, row.mention = (
        channel,
        account,
        recipient,
        list(mention),
    )
    if account is not None:
        row.institution_id = account.institution_id
    elif row.institution_id is None:
        row.institution_id = channel.institution_id
    return row


def _blocked(notice: Notice, person: Account, kind: str, why: Why, at: datetime) -> Delivery:
    row = _nowhere(notice, kind, why, person.name, at)
    row.account, row.institution_id = person, person.institution_id
    way = ChannelKind(kind).label
    row.reason = {
        Why.NO_ADDRESS: f"{person.name}没有已验证的{way}地址，请本人或管理员登记。",
        Why.NO_CHANNEL: f"没有可供{person.institution}使用的{way}渠道，请先配置。",
        Why.DISABLED: f"账号{person.username}已停用或过期，未通知。",
    }[why]
    return row


def _nowhere(notice: Notice, kind: str, why: Why, label: str, at: datetime) -> Delivery:
    row = _row(notice, kind, label, at)
    row.state, row.why = DeliveryState.SUPPRESSED, why
    row.reason = f"{Why(why).label}，请检查渠道与通知对象。"
    return row


def _respect(row: Delivery, quiet: QuietHours, at: datetime) -> None:
    until = held_until(quiet.rule(), row.priority, at, _is_working_day)
    if until is None:
        return
    row.why = Why.QUIET
    if quiet.action == QuietAction.SUPPRESS:
        row.state, row.reason = DeliveryState.SUPPRESSED, "接收人处于免打扰时段，按其设置不发送。"
    else:
        row.reason = f"接收人处于免打扰时段，延后到 {until:%m-%d %H:%M}。"
        row.due_at = row.next_at = until


def _is_working_day(day: date) -> bool:
    return calendar.working_calendar().is_working_day(day)


def other_ways(delivery: Delivery, at: datetime) -> tuple[Channel | None, list[Delivery]]:
    """The same notice over the fallback channel: to the group, or to the people it concerns.

    The first working channel along the fallbacks that was not tried yet; a channel that is
    failing is no way out.
    """
    tried = _tried(delivery)
    channel = delivery.channel
    while channel is not None and channel.fallback_id is not None:
        channel = Channel.objects.select_related("health").get(pk=channel.fallback_id)
        if channel.pk in tried:
            return None, []
        if channel.enabled and channel.health.failing_since is None:
            return channel, _over(delivery, channel, at)
        tried.add(channel.pk)
    return None, []


def _tried(delivery: Delivery) -> set[int]:
    tried: set[int] = set()
    earlier: Delivery | None = delivery
    while earlier is not None:
        if earlier.channel_id is not None:
            tried.add(earlier.channel_id)
        earlier = earlier.instead_of
    return tried


def _over(delivery: Delivery, channel: Channel, at: datetime) -> list[Delivery]:
    notice = delivery.notice
    if channel.is_group:
        mention = delivery.mention or ([delivery.account_id] if delivery.account_id else [])
        rows = [straight(notice, channel, at, mention=mention)]
    elif delivery.account_id is None and delivery.recipient:
        by_phone = {channel.kind, delivery.kind} <= {ChannelKind.SMS, ChannelKind.VOICE}
        fits = channel.kind == delivery.kind or by_phone
        rows = [straight(notice, channel, at, recipient=delivery.recipient)] if fits else []
    else:
        wanted = [delivery.account_id] if delivery.account_id else delivery.mention
        if not wanted:
            # A group without named people: those who look after the channel are told instead.
            wanted = list(delivery.channel.keepers.values_list("pk", flat=True))  # type: ignore[union-attr]
        people = Account.objects.filter(Q(pk__in=wanted)).order_by("pk")
        known = queries.addresses_of(person.pk for person in people)
        rows = [
            straight(notice, channel, at, account=person, recipient=known[person.pk, channel.kind])
            for person in people
            if (person.pk, channel.kind) in known and person.is_usable(at)
        ]
    for row in rows:
        # Lateness is counted from when the first channel should have told it.
        row.due_at, row.instead_of = delivery.due_at, delivery
    return rows
