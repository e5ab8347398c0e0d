"""Questions about notices (通知): inbox, figures of delivery, duty, escalations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Count, F, OuterRef, Q, Subquery

from kangwei.kernel.calendar import queries as calendar
from kangwei.kernel.notices.models import (
    Address,
    Channel,
    ChannelKind,
    Delivery,
    DeliveryState,
    DutyRoster,
    Escalation,
    Notice,
    TemplateVersion,
    Why,
)
from kangwei.kernel.notices.models.channels import PERSONAL_KINDS
from kangwei.kernel.notices.models.ledger import OPEN_STATES
from kangwei.kernel.notices.refusals import UnknownTemplate
from kangwei.kernel.notices.registry import Template, Words, templates
from kangwei.kernel.notices.rules import roster as roster_rule
from kangwei.kernel.notices.texts import ADDRESS_CODE, CHANNEL_TEST
from kangwei.kernel.organisations.models import Account, InstitutionClosure, Scope

# --- templates -------------------------------------------------------------------------------


def template(code: str) -> Template:
    found = templates().get(code)
    if found is None:
        raise UnknownTemplate(f"没有登记通知模板“{code}”，请核对模板代码。")
    return found


def current_words(found: Template) -> tuple[int, Words]:
    """The version in use: the newest edited one, else the registered text as version 0."""
    newest = TemplateVersion.objects.filter(template=found.code).order_by("-number").first()
    if newest is None:
        return 0, found.words
    return newest.number, Words(newest.title, newest.body, newest.short)


# --- inbox -----------------------------------------------------------------------------------


def inbox(account: Account) -> models.QuerySet[Delivery]:
    return Delivery.objects.inbox_of(account).order_by("-created_at", "pk")


def unread_count(account: Account) -> int:
    return inbox(account).filter(read_at=None).count()


def notices_about(subject: models.Model) -> models.QuerySet[Notice]:
    """Every notice about one object, newest first, for the object's own page."""
    return Notice.objects.filter(
        about_type=subject._meta.label_lower, about_id=str(subject.pk)
    ).order_by("-at")


# --- what somebody waits for -----------------------------------------------------------------


def followed_by(user: Account) -> models.QuerySet[Delivery]:
    """Deliveries whose state this account may watch: in its scope, to itself, or a test of a
    channel it looks after."""
    channels = Channel.objects.reached_by(user, "notices.manage_channel")
    own = Q(account=user.pk) | Q(only_here=True, account=None, channel__in=channels.values("pk"))
    seen = Delivery.objects.visible_to(user).values("pk")
    return Delivery.objects.filter(own | Q(pk__in=seen)).select_related("notice", "channel")


def _about(row: models.Model, template: str) -> models.QuerySet[Delivery]:
    return (
        Delivery.objects.filter(
            notice__template=template,
            notice__about_type=row._meta.label_lower,
            notice__about_id=str(row.pk),
        )
        .select_related("notice", "channel")
        .order_by("-created_at")
    )


def code_delivery(address: Address) -> Delivery | None:
    """The last verification code sent to an address."""
    return _about(address, ADDRESS_CODE.code).first()


def test_delivery(channel: Channel) -> Delivery | None:
    """The last test message of a channel."""
    return _about(channel, CHANNEL_TEST.code).first()


# --- channels and addresses ------------------------------------------------------------------


def channel_for(
    kind: str, institution_id: int | None, *, avoid: Iterable[int] = ()
) -> Channel | None:
    """The channel of a kind for people of an institution: its own, else the nearest one above,
    else the platform's; a working one before a failing one."""
    usable = Channel.objects.usable().filter(kind=kind).exclude(pk__in=list(avoid))
    nearness = InstitutionClosure.objects.filter(
        ancestor=OuterRef("institution"), descendant=institution_id
    )
    found: Channel | None = (
        usable.annotate(depth=Subquery(nearness.values("depth")[:1]))
        .filter(Q(institution=None) | Q(depth__isnull=False))
        .order_by(
            F("health__failing_since").asc(nulls_first=True),
            F("depth").asc(nulls_last=True),
            "order",
            "pk",
        )
        .first()
    )
    return found


def addresses_of(accounts: Iterable[int]) -> dict[tuple[int, str], str]:
    """The first valid address of each person and kind. Whoever gave a mobile number for SMS may
    also be called on it."""
    found: dict[tuple[int, str], str] = {}
    for row in Address.objects.valid().filter(account__in=list(accounts)).order_by("pk"):
        found.setdefault((row.account_id, row.kind), row.value)
    for (account, kind), value in list(found.items()):
        if kind == ChannelKind.SMS:
            found.setdefault((account, ChannelKind.VOICE), value)
    return found


def accounts_without_address(user: Any) -> models.QuerySet[Account]:
    """Active accounts in the reader's scope that no outside channel can reach (无有效地址)."""
    reachable = Address.objects.valid().filter(account=OuterRef("pk"), kind__in=PERSONAL_KINDS)
    return (
        Account.objects.reached_by(user, "notices.view_address")
        .filter(state="active")
        .filter(~models.Exists(reachable))
        .select_related("institution")
        .order_by("institution__name", "username")
    )


# --- delivery supervision --------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What was to be told in a period and what came of it (R-91)."""

    due: int = 0
    sent: int = 0
    failed: int = 0
    merged: int = 0
    suppressed: int = 0
    waiting: int = 0
    late: int = 0
    no_address: int = 0
    #: Failed on the first channel and taken over by another.
    replaced: int = 0

    @property
    def rate(self) -> float | None:
        """Share of what was due that was told, by itself or merged."""
        due = self.due - self.suppressed - self.waiting
        return (self.sent + self.merged) / due if due else None


FIGURE_TITLES = {
    "due": "应发",
    "sent": "已发送",
    "failed": "失败",
    "merged": "合并",
    "suppressed": "抑制",
    "waiting": "待发送",
    "late": "迟到（超过 2 分钟）",
    "no_address": "无有效地址",
    "replaced": "改走备用渠道",
}


def figure_condition(name: str, at: datetime) -> Q:
    """The deliveries behind one figure, so that each number leads back to its rows."""
    from kangwei.kernel.notices.rules.delivery import LATE_AFTER

    return {
        "due": Q(),
        "sent": Q(state=DeliveryState.SENT),
        "failed": Q(state=DeliveryState.FAILED),
        "merged": Q(state=DeliveryState.MERGED),
        "suppressed": Q(state=DeliveryState.SUPPRESSED),
        "waiting": Q(state__in=OPEN_STATES),
        "late": Q(late=True) | Q(state__in=OPEN_STATES, due_at__lt=at - LATE_AFTER),
        "no_address": Q(why=Why.NO_ADDRESS),
        "replaced": Q(state=DeliveryState.FAILED, replacements__isnull=False),
    }[name]


def in_period(from_: datetime, to: datetime, scope: Scope | None = None) -> Any:
    """Deliveries due in a period (start included, end excluded) of the institutions reached."""
    rows = Delivery.objects.filter(due_at__gte=from_, due_at__lt=to)
    return rows if scope is None else scope.limit(rows, "institution")


def _counts(at: datetime) -> dict[str, Count]:
    return {
        item.name: Count("pk", filter=figure_condition(item.name, at), distinct=True)
        for item in fields(Figures)
    }


def delivery_figures(
    from_: datetime, to: datetime, scope: Scope | None = None, *, at: datetime | None = None
) -> Figures:
    """The figures of a period; `at` is the moment at which waiting counts as late."""
    found = in_period(from_, to, scope).aggregate(**_counts(at or to))
    return Figures(**found)


def figures_by(
    field: str,
    from_: datetime,
    to: datetime,
    scope: Scope | None = None,
    *,
    at: datetime | None = None,
) -> dict[Any, Figures]:
    """The same figures by `kind`, `channel__name`, `institution__name`, `notice__template` …"""
    rows = in_period(from_, to, scope).order_by().values(field).annotate(**_counts(at or to))
    names = [item.name for item in fields(Figures)]
    return {
        row[field]: Figures(**{name: row[name] for name in names})
        for row in sorted(rows, key=lambda row: str(row[field]))
    }


@dataclass(frozen=True)
class QueueState:
    """How the queue is doing now (守望)."""

    waiting: int
    oldest_due: datetime | None
    failing: tuple[str, ...]
    muted: tuple[str, ...]


def queue_state(at: datetime) -> QueueState:
    open_now = Delivery.objects.filter(state__in=OPEN_STATES, due_at__lte=at)
    found = open_now.aggregate(waiting=Count("pk"), oldest=models.Min("due_at"))
    enabled = Channel.objects.filter(enabled=True)
    return QueueState(
        waiting=found["waiting"],
        oldest_due=found["oldest"],
        failing=tuple(
            enabled.filter(health__failing_since__isnull=False).values_list("name", flat=True)
        ),
        muted=tuple(enabled.filter(health__muted_until__gt=at).values_list("name", flat=True)),
    )


# --- duty ------------------------------------------------------------------------------------


def duty(found: DutyRoster, at: datetime) -> roster_rule.Duty | None:
    """Who is on duty at a moment."""
    rule, substitutions = _roster(found)
    return roster_rule.on_duty(rule, at, calendar.working_calendar().is_working_day, substitutions)


def _roster(found: DutyRoster) -> tuple[roster_rule.Roster, list[roster_rule.Substitution]]:
    rows = found.substitutions.filter(cancelled_at=None).order_by("pk")
    return found.rule(found.turns.all()), [row.rule() for row in rows]


@dataclass(frozen=True)
class DutyDay:
    """One day of the roster's month: who takes over at the hand-over hour."""

    day: date
    working: bool
    duty: roster_rule.Duty | None


def duty_days(found: DutyRoster, first: date, days: int) -> list[DutyDay]:
    rule, substitutions = _roster(found)
    is_working_day = calendar.working_calendar().is_working_day
    answer = []
    for day in (first + timedelta(days=n) for n in range(days)):
        moment = datetime.combine(day, found.handover, roster_rule.SHANGHAI)
        on_duty = roster_rule.on_duty(rule, moment, is_working_day, substitutions)
        answer.append(DutyDay(day, is_working_day(day), on_duty))
    return answer


# --- escalations -----------------------------------------------------------------------------


def escalations_of(subject: models.Model) -> models.QuerySet[Escalation]:
    """Every escalation of one object, newest first."""
    return Escalation.objects.filter(
        subject_type=subject._meta.label_lower, subject_id=str(subject.pk)
    ).order_by("-started_at")
