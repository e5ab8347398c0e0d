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
    def menu(self) -> list[Group]:
        """The entries this account may open; exactly one is lit: the longest address that fits."""
        if not self.signed_in:
            return []
        seen = [
            (item, path)
            for item in registry.menu_items()
            if registry.may_see(self._user, item.right) and (path := _path(item.path))
        ]
        here = self.request.path
        fitting = [
            path for _, path in seen if here == path or here.startswith(path.rstrip("/") + "/")
        ]
        if here != "/":
            fitting = [path for path in fitting if path != "/"]
        lit = max(fitting, key=len, default=None)
        groups: list[Group] = []
        lit_given = False
        for title, members in groupby(seen, key=lambda pair: pair[0].group):
            entries = []
            for item, path in members:
                is_lit = path == lit and not lit_given
                lit_given = lit_given or is_lit
                badge = item.badge(self.request) if item.badge else 0
                entries.append(Entry(item.title, path, item.icon, is_lit, badge))
            groups.append(Group(title, entries, any(entry.lit for entry in entries)))
        return groups

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
