"""What the shell around every page needs (template variable `kw`): menu, help chapter, nonce."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from kangwei.kernel.screens import registry


@dataclass(frozen=True)
class Entry:
    title: str
    path: str
    icon: str
    lit: bool
    badge: int


@dataclass(frozen=True)
class Group:
    title: str
    entries: list[Entry]
    lit: bool


class Shell:
    """Everything is worked out when a template asks for it, so fragments pay nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @property
    def nonce(self) -> str:
        return getattr(self.request, "csp_nonce", "")

    @property
    def trace_id(self) -> str:
        return getattr(self.request, "trace_id", "")

    @property
    def signed_in(self) -> bool:
        return bool(self._user and self._user.is_authenticated)

    @property
    def _user(self) -> Any:
        return getattr(self.request, "user", None)

    @cached_property
    def _seen(self) -> list[tuple[registry.MenuItem, str]]:
        """The entries this account may open, with their addresses."""
        if not self.signed_in:
            return []
        return [
            (item, path)
            for item in registry.menu_items()
            if registry.may_see(self._user, item.right) and (path := _path(item.path))
        ]

    @cached_property
    def _lit(self) -> tuple[registry.MenuItem, str] | None:
        """The one entry this page belongs to: the longest address that fits."""
        here = self.request.path
        fitting = [
            (len(prefix), item, path)
            for item, path in self._seen
            for prefix in (path, *item.covers)
            if here == prefix or (prefix != "/" and here.startswith(prefix.rstrip("/") + "/"))
        ]
        found = max(fitting, key=lambda one: one[0], default=None)
        return found and found[1:]

    @property
    def menu(self) -> list[Group]:
        lit = self._lit and self._lit[0]
        groups: list[Group] = []
        for title, members in groupby(self._seen, key=lambda pair: pair[0].group):
            entries = [
                Entry(
                    item.title,
                    path,
                    item.icon,
                    item is lit,
                    item.badge(self.request) if item.badge else 0,
                )
                for item, path in members
            ]
            groups.append(Group(title, entries, any(entry.lit for entry in entries)))
        return groups

    @property
    def crumbs(self) -> list[tuple[str, str]]:
        """The way back from a page behind a menu entry; nothing on the entry's own page."""
        if self._lit is None or self._lit[1] == self.request.path:
            return []
        return [(self._lit[0].title, self._lit[1])]

    @property
    def help_url(self) -> str:
        chapter, _, section = registry.help_chapter(self.request.path).partition("#")
        url = reverse("help", args=[chapter]) if chapter else reverse("help")
        return f"{url}#{section}" if section else url

    @property
    def bell_url(self) -> str:
        return _path(lambda: reverse("notices:bell"))

    @property
    def inbox_url(self) -> str:
        return _path(lambda: reverse("notices:inbox"))

    @property
    def account_url(self) -> str:
        return _path(lambda: reverse("organisations:me"))

    @property
    def password_url(self) -> str:
        return _path(lambda: reverse("organisations:password"))

    @property
    def sign_in_url(self) -> str:
        return str(settings.LOGIN_URL)

    @property
    def sign_out_url(self) -> str:
        return _path(lambda: reverse("sign-out")) or _path(
            lambda: reverse("organisations:sign_out")
        )


def _path(read: Callable[[], str]) -> str:
    """An address of an app that may not be installed; "" then."""
    try:
        return read()
    except NoReverseMatch:
        return ""


def shell(request: HttpRequest) -> dict[str, Any]:
    return {"kw": Shell(request)}
