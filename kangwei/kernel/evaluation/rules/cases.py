"""A file of cases in, a file of answers out (试算的案例文件).

Every case is answered on its own: a case that cannot be read or judged is answered by an error
with its `id`, and never stops the rest.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kangwei.kernel.refusals import Refusal

logger = logging.getLogger("kangwei.evaluation")

BOM = b"\xef\xbb\xbf"
BAD_JSON = "evaluation.bad_json"
BAD_CASE = "evaluation.bad_case"
FAILED = "evaluation.failed"

Evaluate = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Answer = dict[str, Any]


class Unreadable(ValueError):
    """The file as a whole is neither JSON Lines nor a JSON array in UTF-8."""


def answer(evaluate: Evaluate, case: Any) -> Answer:
    """The engine's answer to one case, led by the case's `id`."""
    if not isinstance(case, dict):
        return error(None, BAD_CASE, "案例应是一个 JSON 对象。")
    key = case.get("id")
    try:
        return {"id": key, **evaluate(case)}
    except Refusal as refusal:
        return error(key, refusal.code, refusal.message, refusal.field)
    except Exception as failure:
        logger.exception("evaluation.failed")
        return error(
            key, FAILED, f"计算出错（{type(failure).__name__}），请核对案例内容或联系管理员。"
        )


def error(key: Any, code: str, message: str, field: str | None = None) -> Answer:
    return {"id": key, "error": {"code": code, "message": message, "field": field}}


def answer_line(evaluate: Evaluate, line: bytes, number: int) -> Answer | None:
    """The answer to one line of JSON Lines; None for an empty line."""
    line = (line.removeprefix(BOM) if number == 1 else line).strip()
    if not line:
        return None
    try:
        case = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return error(None, BAD_JSON, f"第 {number} 行不是有效的 JSON（UTF-8），请检查。")
    return answer(evaluate, case)


def answer_lines(evaluate: Evaluate, lines: Iterable[bytes]) -> Iterator[Answer]:
    """The answers to JSON Lines, one by one and in order, without holding the file."""
    for number, line in enumerate(lines, start=1):
        found = answer_line(evaluate, line, number)
        if found is not None:
            yield found


def answer_file(evaluate: Evaluate, content: bytes) -> list[tuple[Any, Answer]]:
    """Cases of a dropped file beside their answers; a JSON array or JSON Lines.

    A line that is no JSON stands as the text that it is.
    """
    content = content.removeprefix(BOM).strip()
    if not content:
        raise Unreadable("文件是空的，请每行放一个案例（JSON Lines），或放一个 JSON 数组。")
    try:
        content.decode()
    except UnicodeDecodeError:
        raise Unreadable("文件不是 UTF-8 编码，请用 UTF-8 另存后重试。") from None
    if content.startswith(b"["):
        try:
            cases = msgspec.json.decode(content)
        except (msgspec.DecodeError, RecursionError):
            raise Unreadable("文件以 [ 开头但不是完整的 JSON 数组，请检查。") from None
        return [(case, answer(evaluate, case)) for case in cases]
    found: list[tuple[Any, Answer]] = []
    for number, line in enumerate(content.splitlines(), start=1):
        answered = answer_line(evaluate, line, number)
        if answered is not None:
            found.append((_shown(line), answered))
    return found


def _shown(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return line.decode()


def to_jsonl(answers: Iterable[Answer]) -> bytes:
    return b"".join(encode(one) + b"\n" for one in answers)


def encode(one: Answer) -> bytes:
    """One answer as a line; also for dates and decimals, which engines may answer with."""
    return msgspec.json.encode(one)


def to_csv(answers: Sequence[Answer]) -> str:
    """Answers as a table for spreadsheets: one column per field, nested values as JSON.

    Cells that a spreadsheet would take for a formula are quoted.
    """
    plain: list[Answer] = msgspec.json.decode(msgspec.json.encode(answers))
    columns = list(dict.fromkeys(name for one in plain for name in one))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_cell(name) for name in columns)
    for one in plain:
        writer.writerow(_cell(one.get(name)) for name in columns)
    return file.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
