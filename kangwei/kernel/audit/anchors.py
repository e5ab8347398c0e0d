"""Anchors (锚点): the chain's head, signed, kept in the database and in a file outside it.

A chain alone does not stop somebody with the database's password from rewriting its tail: he can
compute every digest anew. He cannot sign, and he does not hold the file. Each anchor names the one
before it by digest, so anchors cannot be taken out unnoticed either.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from kangwei.kernel.audit.rules.chain import GENESIS, Snapshot, canonical, sm3_hex, utc_text
from kangwei.kernel.audit.wire import Connection
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.crypto.services import Signature


@dataclass(frozen=True)
class SignedAnchor:
    """What stands in one line of the anchor file."""

    line: str
    digest: str
    signature: Signature

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.line)
        return facts

    def written(self) -> str:
        return json.dumps(
            {
                "line": self.line,
                "digest": self.digest,
                "algorithm": self.signature.algorithm,
                "kid": self.signature.kid,
                "signature": self.signature.value,
            },
            ensure_ascii=False,
        )

    @classmethod
    def read(cls, text: str) -> SignedAnchor:
        raw = json.loads(text)
        return cls(
            raw["line"],
            raw["digest"],
            Signature(raw["algorithm"], raw["kid"], raw["signature"]),
        )

    def is_genuine(self) -> bool:
        """Whether this platform signed it and no letter of it changed since."""
        return self.digest == sm3_hex(self.line.encode()) and crypto.verify(
            self.line.encode(), self.signature
        )


def snapshot_of(line: str) -> Snapshot:
    """Which transactions the clerk had worked through when the anchor was made."""
    return Snapshot.read(json.loads(line)["snapshot"])


def make_anchor(
    *,
    book: str,
    number: int,
    kind: str,
    at: datetime,
    seq: int,
    head: str,
    snapshot: str,
    previous: str = GENESIS,
    about: dict[str, Any] | None = None,
) -> SignedAnchor:
    facts = {
        "book": book,
        "number": number,
        "kind": kind,
        "at": utc_text(at),
        "seq": seq,
        "hash": head,
        "snapshot": snapshot,
        "previous": previous,
        **(about or {}),
    }
    line = canonical(facts)
    return SignedAnchor(line, sm3_hex(line.encode()), crypto.sign(line.encode()))


def anchor_file() -> Path:
    path: Path = settings.ANCHOR_FILE
    return path


def append_to_file(anchor: SignedAnchor, path: Path | None = None) -> None:
    """Write one line and wait until the disk has it."""
    path = path or anchor_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, (anchor.written() + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def complete_file(connection: Connection) -> None:
    """Write the last anchor again if only the file misses it: a crash between the two writings.

    More than one missing line is no crash; that is left for `audit verify` to name.
    """
    row = connection.execute(
        "SELECT number, line, digest, algorithm, kid, signature, (SELECT id::text FROM audit_book)"
        " FROM audit_anchor ORDER BY number DESC LIMIT 1"
    ).fetchone()
    connection.commit()
    if row is None:
        return
    number, line, digest, algorithm, kid, signature, book = row
    ours = [
        anchor.facts["number"]
        for _, anchor in file_lines()
        if anchor and anchor.facts.get("book") == book
    ]
    if (max(ours) if ours else 0) == number - 1:
        append_to_file(SignedAnchor(line, digest, Signature(algorithm, kid, signature)))


def file_lines(path: Path | None = None) -> Iterator[tuple[int, SignedAnchor | None]]:
    """Every line of the file with its number; None where a line cannot be read."""
    path = path or anchor_file()
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, text in enumerate(file, start=1):
            try:
                anchor = SignedAnchor.read(text)
                anchor.facts["number"]
            except (ValueError, KeyError, TypeError):
                yield number, None
            else:
                yield number, anchor
