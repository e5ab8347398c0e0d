"""What notices shows in the shell: menu, home cards, search, help (界面登记)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import Escalation
from kangwei.kernel.organisations.builtin import register_role_rights
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.screens.registry import (
    Card,
    MenuItem,
    SearchHit,
    SearchSource,
    register_card,
    register_help,
    register_menu,
    register_search,
)

GROUP = "通知"
SETUP = [
    "notices.manage_channel", "notices.manage_escalationpolicy", "notices.manage_dutyroster",
    "notices.manage_address", "notices.resend_delivery",
]  # fmt: skip
#: One for the whole platform: no institution's administrator words or silences it for the others.
PLATFORM = ["notices.manage_template", "notices.manage_watch"]
WORK = ["notices.acknowledge_escalation", "notices.stop_escalation"]
LOOK = ["notices.view_*"]


def unread(request: HttpRequest) -> int:
    return queries.unread_count(request.user) if isinstance(request.user, Account) else 0


def register() -> None:
    def admin(model: str) -> str:
        return f"admin:notices_{model}_changelist"

    register_menu(
        MenuItem(GROUP, "我的消息", "notices:inbox", None, "inbox", 10, unread),
        MenuItem(GROUP, "通知设置", "notices:settings", None, "tune", 20),
        MenuItem(
            GROUP, "升级", admin("escalation"), "notices.view_escalation", "stairs", 30,
            covers=("/notices/escalations/",),
        ),
        MenuItem(
            GROUP, "送达监管", "notices:supervision", "notices.view_delivery", "monitoring", 40
        ),
        MenuItem(
            GROUP, "投递查询", admin("delivery"), "notices.view_delivery", "search", 50,
            covers=("/notices/deliveries/",),
        ),
        MenuItem(
            GROUP, "值班表", admin("dutyroster"), "notices.view_dutyroster", "calendar_month", 60,
            covers=("/notices/rosters/",),
        ),
        MenuItem(
            GROUP, "升级策略", admin("escalationpolicy"), "notices.view_escalationpolicy",
            "rule", 70, covers=("/notices/policies/",),
        ),
        MenuItem(
            GROUP, "通知渠道", admin("channel"), "notices.view_channel", "hub", 80,
            covers=("/notices/channels/",),
        ),
        MenuItem(GROUP, "通知模板", "notices:templates", "notices.view_template", "article", 90),
        MenuItem(GROUP, "通知地址", admin("address"), "notices.view_address", "contact_mail", 100),
        MenuItem(GROUP, "守望设置", "notices:watch", "notices.manage_watch", "ecg_heart", 110),
    )  # fmt: skip
    register_card(
        Card("notices.inbox", "未读消息", inbox_card, None, 20, "medium", "notices:inbox", "inbox"),
        Card(
            "notices.escalations", "进行中的升级", escalations_card, "notices.view_escalation",
            30, "medium", admin("escalation"), "stairs",
        ),
        Card(
            "notices.today", "今日通知送达", today_card, "notices.view_delivery",
            70, "medium", "notices:supervision", "monitoring",
        ),
    )  # fmt: skip
    register_search(SearchSource("我的消息", find_messages, None, 60, "inbox"))
    for prefix in ("/notices/", "/manage/notices/"):
        register_help(prefix=prefix, chapter="通知")
    administrators = [*LOOK, *SETUP, *WORK]
    register_role_rights(
        {
            "system_admin": [*administrators, *PLATFORM],
            "province_admin": administrators,
            "city_admin": administrators,
            "county_admin": administrators,
            "institution_admin": administrators,
            "auditor": LOOK,
        }
    )


def inbox_card(request: HttpRequest) -> str:
    if not isinstance(request.user, Account):
        return ""
    rows = queries.inbox(request.user).filter(read_at=None)[:6]
    return render_to_string("notices/cards/inbox.html", {"rows": rows})


def escalations_card(request: HttpRequest) -> str:
    rows = Escalation.objects.visible_to(request.user).filter(stopped_at=None)
    context = {"rows": rows.select_related("policy", "acknowledged_by")[:6]}
    return render_to_string("notices/cards/escalations.html", context)


def today_card(request: HttpRequest) -> str:
    if not isinstance(request.user, Account):
        return ""
    at = clock.now()
    start = datetime.combine(clock.local_day(at), time(), clock.SHANGHAI)
    scope = request.user.scope("notices.view_delivery")
    figures = queries.delivery_figures(start, at, scope, at=at)
    return render_to_string("notices/cards/today.html", {"figures": figures})


def find_messages(request: HttpRequest, words: str) -> Iterator[SearchHit]:
    if not isinstance(request.user, Account):
        return
    for row in queries.inbox(request.user).filter(notice__title__icontains=words)[:5]:
        moment = row.created_at.astimezone(clock.SHANGHAI)
        yield SearchHit(
            row.notice.title, reverse("notices:message", args=[row.pk]), f"{moment:%m-%d %H:%M}"
        )
