"""The chain (链): each entry of the journal is bound to all before it by one SM3 digest.

`hash = SM3(previous hash ‖ canonical text)`. The canonical text of an entry is its columns as
JSON in exactly one spelling: keys ordered by length in bytes, then by bytes; one blank after
colon and comma; UTF-8 unescaped; times in UTC with six decimals; whole and decimal numbers only.
PostgreSQL spells jsonb in this way by itself; this page spells it without PostgreSQL, so that a
reader with nothing but the rows can check the chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

ALGORITHM = "SM3"
#: What stands before the first link.
GENESIS = "0" * 64


def sm3_hex(data: bytes) -> str:
    return hashlib.new("sm3", data, usedforsecurity=False).hexdigest()


def link_hash(previous: str, canonical_text: str) -> str:
    return sm3_hex(bytes.fromhex(previous) + canonical_text.encode())


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def canonical(value: Any) -> str:
    """The one spelling of a JSON value."""
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{_text(key)}: {canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(canonical(item) for item in value) + "]"
    if isinstance(value, float):
        raise TypeError("a float has no single spelling; use Decimal or a string")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return _text(utc_text(value))
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def parse(text: str) -> Any:
    """Read canonical text back, keeping decimals exact."""
    return json.loads(text, parse_float=Decimal)


@dataclass(frozen=True)
class Snapshot:
    """Which transactions were finished at one moment, as PostgreSQL tells it (`xmin:xmax:xip`).

    What became visible between two snapshots is exactly the transactions that the first did not
    see. So a long transaction neither stalls the chain nor slips through it.
    """

    xmax: int
    running: tuple[int, ...]

    @classmethod
    def read(cls, text: str) -> Snapshot:
        _, xmax, running = text.split(":")
        return cls(int(xmax), tuple(int(xid) for xid in running.split(",") if xid))

    def saw(self, xid: int) -> bool:
        return xid < self.xmax and xid not in self.running
