"""Arranging the home page (工作台布局): the account's order, with new cards where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arrangement:
    order: list[str] = field(default_factory=list)
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Place:
    key: str
    visible: bool


def read(stored: Any) -> Arrangement:
    """The stored setting; whatever is not one counts as none."""
    if not isinstance(stored, dict):
        return Arrangement()
    order = [key for key in stored.get("order", []) if isinstance(key, str)]
    return Arrangement(
        order, frozenset(key for key in stored.get("hidden", []) if isinstance(key, str))
    )


def arrange(allowed: Sequence[str], setting: Arrangement) -> list[Place]:
    """Cards the account has placed come in its order; a card it has never seen follows its
    predecessor of the default order, so that news is not hidden at the bottom."""
    placed = [key for key in setting.order if key in allowed]
    for position, key in enumerate(allowed):
        if key in placed:
            continue
        before = allowed[position - 1] if position else None
        placed.insert(placed.index(before) + 1 if before in placed else 0, key)
    return [Place(key, key not in setting.hidden) for key in placed]


def moved(order: Sequence[str], move: str) -> list[str]:
    """`up:key` or `down:key` changes places with the neighbour; anything else changes nothing."""
    direction, _, key = move.partition(":")
    keys = list(order)
    if key not in keys or direction not in {"up", "down"}:
        return keys
    here = keys.index(key)
    there = max(0, min(len(keys) - 1, here + (-1 if direction == "up" else 1)))
    keys[here], keys[there] = keys[there], keys[here]
    return keys
