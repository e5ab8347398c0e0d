"""The demonstration world (演示数据) is told in chapters that apps register at start-up.

A chapter fills its part through services, never by raw rows, from a seeded random source, so
that the same seed gives the same world. A chapter that is already told does nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Progress(Protocol):
    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@dataclass(frozen=True)
class Chapter:
    """One part of the world: `tell(random, at, progress)` fills it and may be called twice.

    `settle(at)` is called whenever the site starts on a world already told: for what depends on
    where the site runs, such as ports.
    """

    key: str
    title: str
    order: int
    tell: Callable[[random.Random, datetime, Progress], None]
    settle: Callable[[datetime], None] | None = None


_chapters: dict[str, Chapter] = {}


def register_chapter(chapter: Chapter) -> None:
    _chapters[chapter.key] = chapter


def chapters() -> list[Chapter]:
    return sorted(_chapters.values(), key=lambda chapter: (chapter.order, chapter.key))


@dataclass(frozen=True)
class ShownAccount:
    """An account the sign-in page names while the site plays the demonstration."""

    username: str
    password: str
    name: str
    role: str
    institution: str
    #: Neither a second factor nor a new password is asked of it, so that a visitor gets in at once.
    waived: bool = True
    hint: str = ""


_accounts: dict[str, ShownAccount] = {}


def show_accounts(*accounts: ShownAccount) -> None:
    """Called at start-up, in demonstration mode only; elsewhere the list stays empty."""
    for account in accounts:
        _accounts[account.username] = account


def shown_accounts() -> list[ShownAccount]:
    return list(_accounts.values())


def is_waived(username: str) -> bool:
    """May this account enter without second factor and change of password?"""
    account = _accounts.get(username)
    return account is not None and account.waived
