"""Pages every account has: home (工作台), global search, help, and its own settings."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from kangwei.kernel import clock
from kangwei.kernel.refusals import Refusal
from kangwei.kernel.screens import guides, home_order, registry
from kangwei.kernel.screens.models import Preference
from kangwei.kernel.screens.pages import page, work_page

logger = logging.getLogger("kangwei.screens")

HOME_KEY = "home_cards"
PER_SOURCE = 6


@dataclass(frozen=True)
class Shown:
    """A card as drawn: its inner HTML, or the sentence that says it could not be drawn."""

    card: registry.Card
    body: SafeString | str
    broken: bool = False


@work_page()
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The first page of a working day: greeting, last sign-in, and the cards of this role."""
    allowed = [card for card in registry.cards() if registry.may_see(request.user, card.right)]
    setting = home_order.read(Preference.objects.read(request.user, HOME_KEY))
    arranged = home_order.arrange([card.key for card in allowed], setting)
    by_key = {card.key: card for card in allowed}
    shown = [draw(by_key[place.key], request) for place in arranged if place.visible]
    context = {
        "greeting": greeting(clock.now().astimezone(clock.SHANGHAI).hour),
        "today": clock.now().astimezone(clock.SHANGHAI),
        "cards": [card for card in shown if card.body],
        "places": [(by_key[place.key], place.visible) for place in arranged],
    }
    return page(request, "kw/home.html", context, title="工作台")


def draw(card: registry.Card, request: HttpRequest) -> Shown:
    """One card; when it fails the others still stand, and the log keeps the reason."""
    try:
        return Shown(card, card.render(request))
    except Refusal as refusal:
        return Shown(card, refusal.message, broken=True)
    except Exception:
        logger.exception("screens.card.failed %s", card.key)
        sentence = (
            f"“{card.title}”暂时无法显示，其他内容不受影响；请稍后刷新，仍不显示请联系管理员。"
        )
        return Shown(card, sentence, broken=True)


def greeting(hour: int) -> str:
    for until, words in (
        (5, "夜深了"),
        (9, "早上好"),
        (12, "上午好"),
        (14, "中午好"),
        (18, "下午好"),
    ):
        if hour < until:
            return words
    return "晚上好"


@work_page()
@require_POST
def arrange_home(request: HttpRequest) -> HttpResponse:
    """Keep the order and choice of cards of this account; `reset` forgets them."""
    if "reset" in request.POST:
        Preference.objects.write(request.user, HOME_KEY, {})
        messages.success(request, "工作台已恢复默认布局。")
        return redirect("home")
    known = {card.key for card in registry.cards()}
    order = [key for key in request.POST.getlist("order") if key in known]
    seen = set(request.POST.getlist("show"))
    move = request.POST.get("move", "")
    if move:
        order = home_order.moved(order, move)
    Preference.objects.write(
        request.user,
        HOME_KEY,
        {"order": order, "hidden": [key for key in order if key not in seen]},
    )
    messages.success(request, "工作台布局已保存。")
    return redirect("home")


@work_page()
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What the palette shows while somebody types; each source is scoped by who asks."""
    term = request.GET.get("q", "").strip()[:80]
    found: list[dict[str, Any]] = []
    if term:
        for source in registry.search_sources():
            if not registry.may_see(request.user, source.right):
                continue
            hits = _hits(source, request, term)
            if hits:
                found.append({"title": source.title, "icon": source.icon, "hits": hits})
    return render(request, "kw/parts/search_results.html", {"found": found, "term": term})


def _hits(
    source: registry.SearchSource, request: HttpRequest, term: str
) -> list[registry.SearchHit]:
    hits: list[registry.SearchHit] = []
    try:
        for hit in source.find(request, term):
            hits.append(hit)
            if len(hits) == PER_SOURCE:
                break
    except Exception:
        logger.exception("screens.search.failed %s", source.title)
    return hits


def find_menu(request: HttpRequest, term: str) -> list[registry.SearchHit]:
    """Menu entries by title, group or pinyin initials."""
    wanted = term.lower()
    return [
        registry.SearchHit(item.title, item.path(), item.group)
        for item in registry.menu_items()
        if registry.may_see(request.user, item.right)
        and (
            wanted in item.title.lower()
            or wanted in item.group.lower()
            or wanted in guides.initials(item.title)
        )
    ]


def find_guides(request: HttpRequest, term: str) -> list[registry.SearchHit]:
    return [
        registry.SearchHit(found.title, found.url, found.excerpt)
        for found in guides.search(term)[:PER_SOURCE]
    ]


@work_page()
@require_GET
def help_page(request: HttpRequest, name: str = "") -> HttpResponse:
    """One chapter of the guide (使用手册); without a name the first one."""
    term = request.GET.get("q", "").strip()[:80]
    chapters = guides.chapters()
    chosen = guides.chapter(name) if name else (chapters[0] if chapters else None)
    if name and chosen is None:
        raise Http404(name)
    context = {
        "chapters": chapters,
        "chosen": chosen,
        "term": term,
        "found": guides.search(term) if term else [],
    }
    title = "手册搜索" if term else chosen.title if chosen else "使用手册"
    return page(request, "kw/help.html", context, title=title)
