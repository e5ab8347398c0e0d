"""Engines (试算引擎) are registered by the apps whose rules they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .rules.cases import Evaluate


@dataclass(frozen=True)
class Engine:
    """A pure rule that can be tried out on cases.

    `evaluate` answers one case without database, clock or session; it raises a Refusal for a case
    it cannot judge. `describe` says in Markdown which fields go in and come out; `example` is a
    case that works.
    """

    name: str
    title: str
    evaluate: Evaluate
    example: Mapping[str, Any]
    describe: str


_engines: dict[str, Engine] = {}


def register_engine(engine: Engine) -> None:
    if engine.name in _engines:
        raise ValueError(f"engine {engine.name} is registered twice")
    _engines[engine.name] = engine


def engines() -> list[Engine]:
    return sorted(_engines.values(), key=lambda engine: engine.name)


def find_engine(name: str) -> Engine | None:
    return _engines.get(name)
