"""What oversight shows in the shell: menu, home cards, search, help."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.oversight import calendar_pages, journal, key_pages, queries, schedule_pages
from kangwei.kernel.oversight.models import REVIEW_RIGHT, VIEW_RIGHT, ReviewCampaign, ReviewItem
from kangwei.kernel.oversight.rules.review import State
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


def waiting(request: HttpRequest) -> int:
    return queries.work_list(request.user).count()  # type: ignore[arg-type]


def review_card(request: HttpRequest) -> SafeString | str:
    """What waits for my decision, by urgency."""
    today = clock.local_day(clock.now())
    counts = queries.counts_by_state(queries.work_list(request.user), today)  # type: ignore[arg-type]
    if not sum(counts.values()):
        return ""
    return render_to_string(
        "oversight/card_reviews.html",
        {
            "due": counts[State.DUE],
            "overdue": counts[State.OVERDUE],
            "suspended": counts[State.SUSPENDED],
            "later": counts[State.NORMAL],
        },
        request,
    )


def campaigns_card(request: HttpRequest) -> SafeString | str:
    """How far the open rounds are."""
    today = clock.local_day(clock.now())
    visible = ReviewItem.objects.visible_to(request.user)
    rounds = ReviewCampaign.objects.visible_to(request.user).open()[:4]
    rows = [
        (
            one,
            queries.Progress(
                one.title, None, queries.counts_by_state(visible.filter(campaign=one), today)
            ),
        )
        for one in rounds
    ]
    return (
        render_to_string("oversight/card_campaigns.html", {"rows": rows}, request) if rows else ""
    )


def journal_card(request: HttpRequest) -> SafeString | str:
    """Is the journal whole, and where to ask it."""
    context = {"state": audit_queries.chain_state(), "presets": journal.PRESETS[:4]}
    return render_to_string("oversight/card_journal.html", context, request)


def find_items(request: HttpRequest, text: str) -> Iterator[SearchHit]:
    rows = (
        ReviewItem.objects.visible_to(request.user)
        .filter(Q(snapshot__name__icontains=text) | Q(snapshot__username__icontains=text))
        .select_related("campaign", "institution")
        .order_by("-called_at")[:6]
    )
    for item in rows:
        yield SearchHit(
            f"{item.snapshot['name']}（{item.snapshot['username']}）",
            reverse("oversight:sheet", args=[item.pk]),
            str(item.campaign),
        )


def register() -> None:
    group = "督查"
    register_menu(
        MenuItem(group, "我的年审", "oversight:mine", REVIEW_RIGHT, "fact_check", 10, waiting),
        MenuItem(group, "用户年审", "oversight:campaigns", VIEW_RIGHT, "event_repeat", 20),
        MenuItem(group, "年审例外", "oversight:exceptions", VIEW_RIGHT, "person_alert", 30),
        MenuItem(group, "逾期账号", "oversight:overdue", VIEW_RIGHT, "running_with_errors", 35),
        MenuItem(group, "审计日志", "oversight:journal", journal.SEARCH_RIGHT, "manage_search", 40),
        MenuItem(group, "日志完整性", "oversight:integrity", journal.SEARCH_RIGHT, "verified", 50),
        MenuItem(
            group, "定时任务", "oversight:schedules", schedule_pages.VIEW_RIGHT, "schedule", 60
        ),
    )
    register_menu(
        MenuItem("系统", "工作日历", "oversight:calendar", calendar_pages.VIEW_RIGHT,
                 "calendar_month", 40),
        MenuItem("系统", "后台任务", "oversight:runs", None, "pending_actions", 45),
        MenuItem("系统", "密码与密钥", "oversight:keys", key_pages.VIEW_RIGHT, "key", 50),
    )  # fmt: skip
    register_card(
        Card(
            key="oversight.mine",
            title="待我年审",
            render=review_card,
            right=REVIEW_RIGHT,
            order=20,
            url="oversight:mine",
            icon="fact_check",
        ),
        Card(
            key="oversight.campaigns",
            title="年审进度",
            render=campaigns_card,
            right=VIEW_RIGHT,
            order=60,
            url="oversight:campaigns",
            icon="event_repeat",
        ),
        Card(
            key="oversight.journal",
            title="审计日志",
            render=journal_card,
            right=journal.SEARCH_RIGHT,
            order=30,
            url="oversight:journal",
            icon="manage_search",
        ),
    )
    register_search(SearchSource("年审账号", find_items, VIEW_RIGHT, 60, "fact_check"))
    for prefix, chapter in (
        ("/oversight/reviews/", "督查#用户年审"),
        ("/oversight/my-reviews/", "督查#我的年审"),
        ("/oversight/review-exceptions/", "督查#例外与逾期"),
        ("/oversight/review-overdue/", "督查#例外与逾期"),
        ("/oversight/journal/", "督查#审计日志"),
        ("/oversight/integrity/", "督查#日志完整性"),
        ("/oversight/calendar/", "工作日历"),
        ("/oversight/keys/", "密码与密钥"),
        ("/oversight/schedules/", "后台任务#定时任务"),
        ("/oversight/runs/", "后台任务#长任务"),
    ):
        register_help(prefix=prefix, chapter=chapter)
