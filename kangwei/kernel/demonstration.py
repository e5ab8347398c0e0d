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
    """One part of the world: `tell(random, at, progress)` fills it and may be called twice."""

    key: str
    title: str
    order: int
    tell: Callable[[random.Random, datetime, Progress], None]


_chapters: dict[str, Chapter] = {}


def register_chapter(chapter: Chapter) -> None:
    _chapters[chapter.key] = chapter


def chapters() -> list[Chapter]:
    return sorted(_chapters.values(), key=lambda chapter: (chapter.order, chapter.key))
