"""Content that many acts ask for, and the rule that each content has a name of its own."""

from __future__ import annotations

from collections import defaultdict

from ninja import Schema
from pydantic import Field


class ReasonIn(Schema):
    """Why an act is done; it stands in the journal."""

    reason: str = Field(min_length=1, max_length=200, description="原因")


def names_taken_twice() -> list[str]:
    """Content classes of the product that share a name.

    The description keeps one schema under each name, so the second would describe the first's
    operations wrongly, and nobody would notice but the outside developer.
    """
    places: dict[str, set[str]] = defaultdict(set)
    waiting = [Schema]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            module = kind.__module__
            if (
                module.startswith("kangwei.")
                and ".tests." not in module
                and "[" not in kind.__name__
            ):
                places[kind.__name__].add(module)
    return [
        f"{name}: {', '.join(sorted(modules))}"
        for name, modules in sorted(places.items())
        if len(modules) > 1
    ]
