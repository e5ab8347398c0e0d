"""What apps hand to the pages at start-up: menu entries, home cards, search sources, help chapters.

Screens know no business. An app says in `AppConfig.ready()` what it has to show, as plain data and
plain functions; the shell filters it by the rights of whoever looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

#: The menu's groups in the order of a working day; a group nobody named here comes after them.
GROUP_ORDER: list[str] = ["工作台", "报表", "机构人员", "通知", "督查", "系统"]


@dataclass(frozen=True)
class MenuItem:
    """One entry of the menu on the left. `url` is a view name (`notices:inbox`) or a path."""

    group: str
    title: str
    url: str
    right: str | None = None
    #: A Material Symbols name, as shipped with unfold (`groups`, `notifications`).
    icon: str = "chevron_right"
    order: int = 100
    #: A small count behind the title (未读, 待办); zero shows nothing.
    badge: Callable[[HttpRequest], int] | None = None
    #: Where the pages behind this entry stand when not below its own address: they light the entry
    #: and lead back to it.
    covers: tuple[str, ...] = ()

    def path(self) -> str:
        return self.url if self.url.startswith("/") else reverse(self.url)


CardSize = Literal["small", "medium", "large"]


@dataclass(frozen=True)
class Card:
    """One card of the home page. `render(request)` answers its inner HTML, or "" to stay away."""

    key: str
    title: str
    render: Callable[[HttpRequest], SafeString | str]
    right: str | None = None
    order: int = 100
    size: CardSize = "medium"
    #: Where the card's title leads, a view name or a path.
    url: str = ""
    icon: str = ""

    def path(self) -> str:
        if not self.url or self.url.startswith("/"):
            return self.url
        try:
            return reverse(self.url)
        except NoReverseMatch:
            return ""


@dataclass(frozen=True)
class SearchHit:
    """One thing found: what it is called, what tells it apart, and its page."""

    title: str
    url: str
    note: str = ""


@dataclass(frozen=True)
class SearchSource:
    """One kind of thing the global search looks through, already scoped to who asks."""

    title: str
    find: Callable[[HttpRequest, str], Iterable[SearchHit]]
    right: str | None = None
    order: int = 100
    icon: str = "search"


@dataclass
class _Registry:
    menu: list[MenuItem] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=dict)
    sources: dict[str, SearchSource] = field(default_factory=dict)
    help: dict[str, str] = field(default_factory=dict)


_registry = _Registry()


def register_menu(*items: MenuItem) -> None:
    """Add entries to the menu; the same group and title again replaces the entry."""
    for item in items:
        key = (item.group, item.title)
        _registry.menu = [kept for kept in _registry.menu if (kept.group, kept.title) != key]
        _registry.menu.append(item)


def register_card(*cards: Card) -> None:
    for card in cards:
        _registry.cards[card.key] = card


def register_search(*sources: SearchSource) -> None:
    for source in sources:
        _registry.sources[source.title] = source


def register_help(*, prefix: str, chapter: str) -> None:
    """Pages whose address starts with `prefix` open this chapter: `文件名` or `文件名#小节`."""
    _registry.help[prefix] = chapter


def may_see(user: Any, right: str | None) -> bool:
    return right is None or bool(user.has_perm(right))


def menu_items() -> list[MenuItem]:
    """Every entry, in menu order."""

    def place(item: MenuItem) -> tuple[int, str, int, str]:
        known = item.group in GROUP_ORDER
        group = GROUP_ORDER.index(item.group) if known else len(GROUP_ORDER)
        return group, item.group, item.order, item.title

    return sorted(_registry.menu, key=place)


def cards() -> list[Card]:
    return sorted(_registry.cards.values(), key=lambda card: (card.order, card.key))


def search_sources() -> list[SearchSource]:
    return sorted(_registry.sources.values(), key=lambda source: (source.order, source.title))


def help_chapter(path: str) -> str:
    """The chapter of the longest registered prefix of this address; "" when there is none."""
    fitting = [prefix for prefix in _registry.help if path.startswith(prefix)]
    return _registry.help[max(fitting, key=len)] if fitting else ""
