"""The act of trying cases out: answered by an engine, journalled with the digest of the input."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.refusals import Invalid, NotFound, Refusal

from .registry import Engine, engines, find_engine, register_engine
from .rules import cases

if TYPE_CHECKING:
    from kangwei.kernel.organisations.models import Account

__all__ = ["Engine", "evaluate_cases", "evaluate_file", "known_engine", "register_engine"]

MOST_CASES = 5_000
MOST_BYTES = 5 * 1024 * 1024


class UnknownEngine(NotFound):
    code: ClassVar[str] = "evaluation.unknown_engine"
    title: ClassVar[str] = "试算引擎不存在"


class TooManyCases(Refusal):
    code: ClassVar[str] = "evaluation.too_many_cases"
    title: ClassVar[str] = "案例过多"
    status: ClassVar[int] = 413


class UnreadableFile(Invalid):
    code: ClassVar[str] = "evaluation.unreadable_file"
    title: ClassVar[str] = "案例文件无法读取"


def known_engine(name: str) -> Engine:
    engine = find_engine(name)
    if engine is None:
        known = "、".join(one.name for one in engines())
        raise UnknownEngine(
            f"没有名为“{name[:60]}”的试算引擎，可用的引擎：{known}。", field="engine"
        )
    return engine


def evaluate_cases(
    *, engine: Engine, given: Sequence[Any], by: Account, at: datetime
) -> list[cases.Answer]:
    """Answer an array of cases, in order."""
    if len(given) > MOST_CASES:
        raise TooManyCases(f"一次最多 {MOST_CASES} 个案例，现在有 {len(given)} 个，请分批试算。")
    answers = [cases.answer(engine.evaluate, case) for case in given]
    _journal(engine, msgspec.json.encode(given), len(given), by, at)
    return answers


def evaluate_file(
    *, engine: Engine, content: bytes, by: Account, at: datetime
) -> list[tuple[Any, cases.Answer]]:
    """Answer a file of cases; the cases stand beside their answers."""
    if len(content) > MOST_BYTES:
        raise TooManyCases(
            f"文件不能超过 {MOST_BYTES // 1024 // 1024} MB；更大的文件请用命令行试算。",
            field="file",
        )
    try:
        answered = cases.answer_file(engine.evaluate, content)
    except cases.Unreadable as problem:
        raise UnreadableFile(str(problem), field="file") from None
    if len(answered) > MOST_CASES:
        raise TooManyCases(
            f"一次最多 {MOST_CASES} 个案例，文件中有 {len(answered)} 个，请分批试算。", field="file"
        )
    _journal(engine, content, len(answered), by, at)
    return answered


def _journal(engine: Engine, content: bytes, count: int, by: Account, at: datetime) -> None:
    """The digest lets anybody prove later which cases were tried, without keeping them."""
    with transaction.atomic():
        audit.record(
            act="evaluation.tried",
            by=by,
            at=at,
            detail={"engine": engine.name, "cases": count, "sm3": crypto.sm3(content)},
        )
