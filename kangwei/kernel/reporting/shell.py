"""What reporting shows in the shell: menu, search, help, a card on the home page."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from kangwei.kernel import clock
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

from . import queries
from .models import Document, Snapshot


def register() -> None:
    register_menu(
        MenuItem(
            group="报表", title="报表目录", url="reporting:index", icon="monitoring", order=10
        ),
        MenuItem(
            group="报表",
            title="固化报表",
            url="reporting:snapshots",
            icon="inventory_2",
            order=20,
            covers=("/reporting/plans/", "/reporting/subscriptions/"),
        ),
        MenuItem(
            group="报表", title="文档", url="reporting:documents", icon="description", order=30
        ),
        MenuItem(
            group="报表",
            title="样式模板",
            url="reporting:templates",
            right="reporting.manage_template",
            icon="format_paint",
            order=40,
        ),
    )
    register_search(
        SearchSource(title="报表", find=find_reports, icon="monitoring", order=50),
        SearchSource(title="固化报表", find=find_snapshots, icon="inventory_2", order=51),
        SearchSource(title="文档", find=find_documents, icon="description", order=52),
    )
    register_card(
        Card(
            key="reporting.favourites",
            title="常用报表",
            render=favourites_card,
            url="reporting:index",
            icon="monitoring",
            order=60,
        )
    )
    register_help(prefix="/reporting/", chapter="报表")
    register_help(prefix="/reporting/documents/", chapter="文档")
    register_help(prefix="/reporting/templates/", chapter="文档#样式模板")


def favourites_card(request: HttpRequest) -> SafeString | str:
    """Reports somebody marked, and his latest snapshots; nothing marked, no card."""
    by = request.user
    assert isinstance(by, Account)
    marked = queries.favourites(by)
    reports = [one for one in queries.reports_for(by) if one.code in marked][:6]
    frozen = Snapshot.objects.visible_to(by).filter(account=by).defer("frame")[:4]
    if not reports and not frozen:
        return ""
    return render_to_string("reporting/parts/card.html", {"reports": reports, "frozen": frozen})


def find_reports(request: HttpRequest, term: str) -> Iterable[SearchHit]:
    by = request.user
    assert isinstance(by, Account)
    for report in queries.reports_for(by):
        if term.lower() in f"{report.title} {report.code} {report.purpose}".lower():
            yield SearchHit(
                report.title, reverse("reporting:report", args=[report.code]), report.group
            )


def find_snapshots(request: HttpRequest, term: str) -> Iterable[SearchHit]:
    found = Snapshot.objects.visible_to(request.user).filter(name__icontains=term)
    for one in found.defer("frame")[:8]:
        yield SearchHit(
            one.name,
            reverse("reporting:snapshot", args=[one.pk]),
            f"{clock.local_day(one.frozen_at)}",
        )


def find_documents(request: HttpRequest, term: str) -> Iterable[SearchHit]:
    visible = Document.objects.visible_to(request.user)
    found = visible.filter(number__icontains=term) | visible.filter(title__icontains=term)
    for one in found[:8]:
        latest = queries.latest_version(one)
        yield SearchHit(
            str(one), reverse("reporting:document", args=[latest.pk]), str(one.institution)
        )
