"""The description of the API: OpenAPI 3.1, in Chinese, with examples (接口说明).

ninja knows paths, parameters and schemas. What our frame adds to every operation is added here
once: the two ways to sign in, the idempotency key, the one form of errors, the right it needs.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja import NinjaAPI

from kangwei.kernel.refusals import Refusal

from . import errors
from .gate import enter
from .site import build_api

DESCRIPTION = """\
机构的程序通过这里读取数据、办理业务，权限和数据范围与页面完全相同。

**身份。** 程序使用接口密钥：`Authorization: Bearer kw_前缀_密钥`。浏览器中的页面使用登录会话，
写操作另带 `X-CSRFToken`。密钥的权限不超过它所属的账号。

**幂等。** 操作类接口（POST）用密钥调用时必须带 `Idempotency-Key`（建议 UUID）。
网络中断后用同一个键、同样的内容重试，得到同样的应答（应答头 `Idempotent-Replayed: true`），
不会办理两次；键保存 48 小时。同一个键换了内容返回 409 `api.key_reused`；
前一次还没办完返回 409 `api.still_running`，请稍后重试。

**错误。** 一律为 `{code, message, field, trace_id}`：`code` 稳定，供程序判断；
`message` 说明原因和办法；`field` 指出有问题的参数；
`trace_id` 与应答头 `X-Trace-Id` 相同，报障时请提供。

**列表。** `page`、`size` 翻页，`order` 排序（前面加 `-` 为倒序）；
不认识的参数会被拒绝，而不是被忽略。

**时间。** 输出为带时区的 ISO 8601；输入未带时区时按北京时间。
"""

ERROR_SCHEMA: dict[str, Any] = {
    "title": "错误",
    "type": "object",
    "required": ["code", "message", "field", "trace_id"],
    "properties": {
        "code": {"type": "string", "description": "稳定的错误码，含义见错误码目录"},
        "message": {"type": "string", "description": "发生了什么、涉及什么、下一步怎么办"},
        "field": {"type": ["string", "null"], "description": "有问题的参数"},
        "trace_id": {"type": "string", "description": "跟踪编号"},
    },
}
EXAMPLE_TRACE = "5f0c9a3be1d24c77"

#: Which refusals of the frame an operation of each sort can give, by status.
COMMON = [errors.NotSignedIn, errors.CsrfMissing, errors.UnknownParameter, errors.TooManyCalls]
OF_ACTS = [errors.BadJson, errors.KeyReused, errors.TooLarge, errors.WrongContentType]

IDEMPOTENCY_PARAMETER: dict[str, Any] = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "幂等键；用密钥调用时必填，重试时保持不变",
    "schema": {
        "type": "string",
        "minLength": 8,
        "maxLength": 200,
        "pattern": "^[A-Za-z0-9_.:\\-]+$",
    },
    "example": "0c1f7c0e-52f1-4b7c-9a55-1f3f0f6b7a10",
}


@functools.cache
def document() -> dict[str, Any]:
    """The whole description; the same for everybody, made once per process."""
    return describe(build_api())


def describe(api: NinjaAPI) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(_plain(api.get_openapi_schema(path_prefix="api/v1/")))
    )
    found["info"]["description"] = DESCRIPTION
    found["info"]["version"] = "1"
    components = found.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = ERROR_SCHEMA
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "接口密钥：Authorization: Bearer kw_…",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "浏览器登录会话；写操作另带 X-CSRFToken",
        },
    }
    for methods in found["paths"].values():
        for operation in methods.values():
            _complete(operation)
    return found


def _complete(operation: dict[str, Any]) -> None:
    ours = operation.pop("x-kw", {})
    is_act, right = bool(ours.get("act")), ours.get("right")
    needed = f"需要权限：`{right}`。" if right else "登录即可使用。"
    operation["description"] = "\n\n".join(
        part for part in (operation.get("description", ""), needed) if part
    )
    operation["security"] = [{"key": []}, {"session": []}]
    if right:
        operation["x-right"] = right
    for parameter in operation.get("parameters", []):
        # A list of examples belongs to the schema, where it also stands; here it would be a map.
        if isinstance(parameter.get("examples"), list):
            parameter["example"] = parameter.pop("examples")[0]
    if is_act:
        operation.setdefault("parameters", []).append(IDEMPOTENCY_PARAMETER)
    if "requestBody" in operation and ours.get("example") is not None:
        for content in operation["requestBody"]["content"].values():
            content["example"] = ours["example"]
    responses = operation["responses"]
    for status, response in responses.items():
        response["description"] = "成功" if status.startswith("2") else response["description"]
        response.setdefault("headers", {})["X-Trace-Id"] = {
            "description": "跟踪编号",
            "schema": {"type": "string"},
        }
    kinds = [*COMMON, *(OF_ACTS if is_act or "requestBody" in operation else [])]
    for kind in kinds:
        responses.setdefault(str(kind.status), _error(kind))
    responses.setdefault(
        "404", _example("对象不存在", "not_found", "对象不存在，或不在您的数据范围内。")
    )
    if is_act:
        responses.setdefault("409", _error(errors.KeyReused))


def _error(kind: type[errors.ApiRefusal]) -> dict[str, Any]:
    return _example(kind.title, kind.code, f"{kind.title}，请按说明处理后重试。")


def _example(title: str, code: str, message: str) -> dict[str, Any]:
    return {
        "description": title,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Error"},
                "example": {
                    "code": code,
                    "message": message,
                    "field": None,
                    "trace_id": EXAMPLE_TRACE,
                },
            }
        },
    }


def _plain(value: Any) -> Any:
    """Keys of responses are numbers in ninja's schema and texts in JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


@require_safe
def openapi_json(request: HttpRequest) -> HttpResponse:
    try:
        enter(request, None)
    except Refusal as refusal:
        return errors.answer(request, refusal)
    return HttpResponse(msgspec.json.encode(document()), content_type="application/json")


@require_safe
def codes_json(request: HttpRequest) -> HttpResponse:
    try:
        enter(request, None)
    except Refusal as refusal:
        return errors.answer(request, refusal)
    # msgspec writes dataclasses as objects.
    return HttpResponse(msgspec.json.encode(errors.codes()), content_type="application/json")
