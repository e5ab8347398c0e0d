"""Delivery supervision (送达监管) and running escalations (升级)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from kangwei.kernel import clock
from kangwei.kernel.notices import queries, services
from kangwei.kernel.notices.forms import ReasonForm
from kangwei.kernel.notices.models import Address, ChannelKind, Delivery, Escalation
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.organisations.views.acting import act, me
from kangwei.kernel.screens.pages import page, work_page

TONES = {
    "sent": "good", "failed": "bad", "merged": "info", "suppressed": "neutral", "due": "warn",
    "sending": "warn",
}  # fmt: skip
VIEW = "notices.view_delivery"


def _day(request: HttpRequest) -> date:
    try:
        return date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        return clock.local_day(clock.now())


@work_page(right=VIEW)
def supervision(request: HttpRequest) -> HttpResponse:
    """One day's figures, by channel and kind; each number leads to its deliveries."""
    user, at, day = me(request), clock.now(), _day(request)
    start = datetime.combine(day, time(), clock.SHANGHAI)
    end = start + timedelta(days=1)
    scope = user.scope(VIEW)
    figures = queries.delivery_figures(start, end, scope, at=at)
    by_kind = queries.figures_by("kind", start, end, scope, at=at)
    by_channel = queries.figures_by("channel__name", start, end, scope, at=at)
    names = list(queries.FIGURE_TITLES)
    chosen = request.GET.get("figure", "")
    kind = request.GET.get("kind", "")
    rows = queries.in_period(start, end, scope).select_related(
        "notice", "channel", "account", "institution"
    )
    if chosen in queries.FIGURE_TITLES:
        rows = rows.filter(queries.figure_condition(chosen, at)).distinct()
    if kind in ChannelKind.values:
        rows = rows.filter(kind=kind)

    def address(**changes: str) -> str:
        return "?" + urlencode({"day": day.isoformat(), **changes})

    tones = {"failed": "bad", "late": "warn", "no_address": "warn", "sent": "good"}
    context = {
        "day": day,
        "before": (day - timedelta(days=1)).isoformat(),
        "after": (day + timedelta(days=1)).isoformat(),
        "figures": [
            (
                queries.FIGURE_TITLES[name],
                getattr(figures, name),
                tones.get(name, "") if getattr(figures, name) else "",
                address(figure=name) + "#rows",
            )
            for name in names
        ],
        "rate": figures.rate,
        "titles": list(queries.FIGURE_TITLES.values()),
        "by_kind": [
            (
                ChannelKind(key).label,
                [(getattr(f, name), address(figure=name, kind=key)) for name in names],
            )
            for key, f in by_kind.items()
        ],
        "by_channel": [
            (key, [getattr(f, name) for name in names], f.rate)
            for key, f in by_channel.items()
            if key
        ],
        "queue": queries.queue_state(at) if scope.everything else None,
        "rows": Paginator(rows.order_by("-due_at", "pk"), 20).get_page(request.GET.get("page")),
        "chosen": queries.FIGURE_TITLES.get(chosen, "全部"),
        "tones": TONES,
        "silent_count": queries.accounts_without_address(user).count(),
    }
    return page(request, "notices/supervision.html", context, title="送达监管")


@work_page(right=VIEW)
def delivery(request: HttpRequest, pk: str) -> HttpResponse:
    """One delivery with every attempt: what was asked, what was answered."""
    rows = Delivery.objects.visible_to(request.user).select_related(
        "notice", "channel", "account", "institution", "merged_into", "instead_of"
    )
    row = one(rows, pk)
    context = {
        "row": row,
        "tone": TONES[row.state],
        "pairs": [
            ("投递号", row.pk),
            ("通知", row.notice.title),
            ("模板", f"{row.notice.template} v{row.notice.template_version}"),
            ("渠道", row.channel or row.get_kind_display()),
            ("接收方", row.shown),
            ("级别", row.get_priority_display()),
            ("应发时间", row.due_at),
            ("发送时间", row.sent_at),
            ("迟到", "是" if row.late else "否"),
            ("原因", row.reason),
        ],
        "attempts": row.attempts.select_related("channel"),
        "parts": row.parts.select_related("notice")[:50],
        "replacements": row.replacements.all(),
        "may_resend": row.kind != ChannelKind.INAPP
        and not row.is_open
        and not row.only_here
        and request.user.has_perm("notices.resend_delivery", row),
    }
    return page(request, "notices/delivery.html", context, title="投递详情")


@work_page()
def sending(request: HttpRequest, pk: str) -> HttpResponse:
    """How far one delivery is, for the page on which somebody waits for it."""
    row = one(queries.followed_by(me(request)), pk)
    return render(request, "notices/sending.html", {"row": row})


@work_page(right="notices.resend_delivery")
def resend(request: HttpRequest, pk: str) -> HttpResponse:
    row = one(Delivery.objects.reached_by(request.user, "notices.resend_delivery"), pk)

    def do(found: dict[str, Any]) -> HttpResponse:
        fresh = services.resend(
            delivery=row, by=me(request), at=clock.now(), reason=found["reason"]
        )
        messages.success(request, "已重新排入发送队列。")
        return HttpResponseRedirect(reverse("notices:delivery", args=[fresh.pk]))

    back = reverse("notices:delivery", args=[pk])
    form = ReasonForm(request.POST or None)
    return act(request, form, title="重新发送", do=do, back=back, submit="重新发送")


@work_page(right="notices.view_address")
def without_address(request: HttpRequest) -> HttpResponse:
    """People whom no channel outside the product reaches, and addresses that wait for proof."""
    rows = Paginator(queries.accounts_without_address(request.user), 20)
    waiting = Address.objects.visible_to(request.user).filter(verified_at=None)
    context = {
        "rows": rows.get_page(request.GET.get("page")),
        "waiting": waiting.select_related("account", "account__institution")[:100],
        "may_manage": request.user.has_perm("notices.manage_address"),
    }
    return page(request, "notices/without_address.html", context, title="无有效地址的人员")


@work_page(right="notices.manage_address")
def verify_by_hand(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(Address.objects.reached_by(request.user, "notices.manage_address"), pk)

    def do(found: dict[str, Any]) -> str:
        services.verify_by_hand(address=row, by=me(request), at=clock.now(), reason=found["reason"])
        return f"{row.account}的{row}已确认有效。"

    back = reverse("notices:without_address")
    form = ReasonForm(request.POST or None)
    return act(request, form, title=f"确认地址 {row.account} {row}", do=do, back=back)


# --- escalations -----------------------------------------------------------------------------

EVENT_TONES = {
    "started": "info", "told": "warn", "repeated": "warn", "lapsed": "bad", "unreached": "bad",
    "acknowledged": "good", "stopped": "good",
}  # fmt: skip


@work_page(right="notices.view_escalation")
def escalation(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Escalation.objects.visible_to(request.user).select_related("policy", "acknowledged_by")
    row = one(rows, pk)
    events = row.events.select_related("by", "notice").order_by("-pk")
    context = {
        "row": row,
        "pairs": [
            ("策略", f"{row.policy}（第 {row.policy_version} 版）"),
            ("状态", row.state_title),
            ("开始时间", row.started_at),
            ("已通知到", f"第 {row.level} 级" if row.level else "尚未通知"),
            ("下一步时间", row.next_at),
            ("认领人", row.acknowledged_by or ""),
            ("认领有效至", row.acknowledged_until),
            ("停止时间", row.stopped_at),
            ("停止原因", row.stop_reason),
        ],
        "events": [
            {
                "at": event.at,
                "title": event.get_kind_display()
                + (f" 第 {event.level} 级" if event.level else ""),
                "by": event.by or "",
                "note": event.note,
                "tone": EVENT_TONES[event.kind],
            }
            for event in events
        ],
        "levels": row.ladder["levels"],
        "deliveries": Delivery.objects.filter(
            notice__in=row.events.filter(notice__isnull=False).values("notice")
        )
        .select_related("notice", "channel")
        .order_by("-created_at")[:50],
        "tones": TONES,
        "may_acknowledge": row.stopped_at is None
        and request.user.has_perm("notices.acknowledge_escalation", row),
        "may_stop": row.stopped_at is None
        and request.user.has_perm("notices.stop_escalation", row),
    }
    return page(request, "notices/escalation.html", context, title=str(row))


@work_page(right="notices.acknowledge_escalation")
@require_POST
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(Escalation.objects.reached_by(request.user, "notices.acknowledge_escalation"), pk)
    taken = services.acknowledge_escalation(escalation=row, by=me(request), at=clock.now())
    assert taken.acknowledged_until is not None
    until = taken.acknowledged_until.astimezone(clock.SHANGHAI)
    messages.success(request, f"已认领，{until:%m-%d %H:%M} 前请处理完毕，到期将继续升级。")
    return HttpResponseRedirect(reverse("notices:escalation", args=[pk]))


@work_page(right="notices.stop_escalation")
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(Escalation.objects.reached_by(request.user, "notices.stop_escalation"), pk)

    def do(found: dict[str, Any]) -> str:
        services.stop_escalation(
            escalation=row, by=me(request), at=clock.now(), reason=found["reason"]
        )
        return "升级已停止，已通知相关人员。"

    back = reverse("notices:escalation", args=[pk])
    form = ReasonForm(request.POST or None)
    return act(request, form, title="停止升级", do=do, back=back, submit="停止升级", danger=True)
