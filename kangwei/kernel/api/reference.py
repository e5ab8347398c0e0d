"""The reference of interfaces (接口说明): the OpenAPI description as a page for people.

Pure data in, pure data out; the page itself stands where the shell is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

PLACES = {"query": "地址参数", "path": "地址", "header": "请求头", "cookie": "Cookie"}
KINDS = {
    "string": "文本",
    "integer": "整数",
    "number": "数字",
    "boolean": "是否",
    "object": "对象",
    "null": "空",
}
FORMATS = {"date": "日期", "date-time": "时间", "binary": "文件", "uuid": "UUID"}


@dataclass(frozen=True)
class Field:
    name: str
    place: str
    required: bool
    kind: str
    description: str


@dataclass(frozen=True)
class Answer:
    status: str
    title: str
    kind: str


@dataclass(frozen=True)
class Operation:
    key: str
    method: str
    tone: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    fields: list[Field]
    example: str
    responses: list[Answer]


@dataclass(frozen=True)
class Tag:
    name: str
    operations: list[Operation]


def tags(document: Mapping[str, Any]) -> list[Tag]:
    """The operations of a description, by tag, in the order of their registration."""
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["其他"])[0]
            found.setdefault(tag, []).append(_operation(document, path, method, operation))
    return [Tag(name, operations) for name, operations in found.items()]


def _operation(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> Operation:
    contents = operation.get("requestBody", {}).get("content", {})
    content: Mapping[str, Any] = next(iter(contents.values()), {})
    example = content.get("example")
    return Operation(
        key=operation["operationId"],
        method=method.upper(),
        tone="info" if method == "get" else "warn",
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        parameters=[
            Field(
                one["name"],
                PLACES.get(one["in"], one["in"]),
                bool(one.get("required")),
                kind(document, one.get("schema", {})),
                one.get("description", ""),
            )
            for one in operation.get("parameters", [])
        ],
        fields=_fields(document, content.get("schema", {})),
        example="" if example is None else json.dumps(example, ensure_ascii=False, indent=2),
        responses=[
            Answer(status, one["description"], _answer_kind(document, one))
            for status, one in sorted(operation["responses"].items())
        ],
    )


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Field]:
    schema = resolved(document, schema)
    required = schema.get("required", [])
    return [
        Field(name, "", name in required, kind(document, one), one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]


def _answer_kind(document: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    content = next(iter(response.get("content", {}).values()), None)
    return "无内容" if content is None else kind(document, content.get("schema", {}))


def kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A schema in a few Chinese words: `文本、空`, `数组（机构）`, `good 或 slow`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return str(resolved(document, schema).get("title", name))
    if "enum" in schema:
        return " 或 ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return "、".join(dict.fromkeys(kind(document, one) for one in schema[several]))
    given = schema.get("type")
    if isinstance(given, list):
        return "、".join(KINDS.get(str(one), str(one)) for one in given)
    if given == "array":
        return f"数组（{kind(document, schema.get('items', {}))}）"
    if given is None:
        return "任意"
    return FORMATS.get(schema.get("format", ""), KINDS.get(str(given), str(given)))


def resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference stands for."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rsplit("/", 1)[-1]
    found: Mapping[str, Any] = document["components"]["schemas"][name]
    return found


def introduction(text: str) -> SafeString:
    """The description's own words: paragraphs, **strong**, `code`; nothing else is understood."""
    plain = str(escape(text))
    plain = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", plain)
    plain = re.sub(r"`(.+?)`", r"<code>\1</code>", plain)
    paragraphs = [part.replace("\n", "") for part in plain.strip().split("\n\n")]
    # Escaped above; the only markup is ours.
    return mark_safe("".join(f"<p>{part}</p>" for part in paragraphs))  # noqa: S308
