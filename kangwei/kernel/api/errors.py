"""Every failure of the API in one form: `{code, message, field, trace_id}` (错误的统一格式).

Refusals of services pass through with their own code. What the frame itself refuses (a missing
key, a body that is no JSON, an unknown parameter) is named here, so the catalogue is complete.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from django.http import HttpRequest, HttpResponse

from kangwei.kernel.refusals import Refusal, catalogue

logger = logging.getLogger("kangwei.api")


class ApiRefusal(Refusal):
    """A refusal of the frame; some tell when to try again."""

    code: ClassVar[str] = "api.refused"
    title: ClassVar[str] = "请求被拒绝"
    status: ClassVar[int] = 400

    def __init__(
        self, message: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message, field=field)
        self.retry_after = retry_after


class NotSignedIn(ApiRefusal):
    code = "api.not_signed_in"
    title = "没有登录或密钥无效"
    status = 401


class CsrfMissing(ApiRefusal):
    code = "api.csrf"
    title = "缺少防伪令牌"
    status = 403


class AddressNotAllowed(ApiRefusal):
    code = "api.address_not_allowed"
    title = "来源地址不在密钥允许的范围"
    status = 403


class TooManyCalls(ApiRefusal):
    code = "api.too_many_calls"
    title = "调用过于频繁"
    status = 429


class BadJson(ApiRefusal):
    code = "api.bad_json"
    title = "请求内容不是 JSON"
    status = 400


class BadRequest(ApiRefusal):
    code = "api.bad_request"
    title = "请求无法理解"
    status = 400


class NoSuchAddress(ApiRefusal):
    code = "api.no_such_address"
    title = "接口地址不存在"
    status = 404


class WrongMethod(ApiRefusal):
    code = "api.wrong_method"
    title = "请求方法不支持"
    status = 405


class TooLarge(ApiRefusal):
    code = "api.too_large"
    title = "请求内容过大"
    status = 413


class WrongContentType(ApiRefusal):
    code = "api.wrong_content_type"
    title = "请求内容的类型不支持"
    status = 415


class InvalidInput(ApiRefusal):
    code = "api.invalid_input"
    title = "参数不符合要求"
    status = 422


class UnknownParameter(ApiRefusal):
    code = "api.unknown_parameter"
    title = "参数名不认识"
    status = 422


class UnknownOrder(ApiRefusal):
    code = "api.unknown_order"
    title = "排序字段不支持"
    status = 422


class KeyMissing(ApiRefusal):
    code = "api.idempotency_key_missing"
    title = "缺少幂等键"
    status = 422


class KeyMalformed(ApiRefusal):
    code = "api.idempotency_key_malformed"
    title = "幂等键格式有误"
    status = 422


class KeyReused(ApiRefusal):
    code = "api.key_reused"
    title = "幂等键已用于其他内容"
    status = 409


class StillRunning(ApiRefusal):
    code = "api.still_running"
    title = "相同幂等键的请求仍在处理"
    status = 409


class Unforeseen(ApiRefusal):
    """Not raised: it names what a caller sees when the program itself is wrong."""

    code = "api.unforeseen"
    title = "服务内部错误"
    status = 500


class Unavailable(ApiRefusal):
    """Not raised by services: the database is away for a moment."""

    code = "api.unavailable"
    title = "服务暂时不可用"
    status = 503


def body_of(refusal: Refusal, trace_id: str) -> dict[str, Any]:
    return {
        "code": refusal.code,
        "message": refusal.message,
        "field": refusal.field,
        "trace_id": trace_id,
    }


def answer(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A refusal as an HTTP answer."""
    trace_id = getattr(request, "trace_id", "")
    response = HttpResponse(
        msgspec.json.encode(body_of(refusal, trace_id)),
        content_type="application/json",
        status=refusal.status,
    )
    retry_after = getattr(refusal, "retry_after", None)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    if refusal.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


@dataclass(frozen=True)
class Code:
    """One line of the catalogue of codes (错误码目录)."""

    code: str
    title: str
    status: int


def codes() -> list[Code]:
    """Every code a caller can meet, in alphabetical order."""
    found = {kind.code: Code(kind.code, kind.title, kind.status) for kind in catalogue()}
    return [found[code] for code in sorted(found)]


#: Pydantic's error types in the words of a caller; {…} are filled from the error's context.
_SENTENCES: dict[str, str] = {
    "missing": "缺少必填项",
    "extra_forbidden": "不认识的字段",
    "string_type": "应为文本",
    "string_too_short": "长度不能少于 {min_length} 个字符",
    "string_too_long": "长度不能超过 {max_length} 个字符",
    "string_pattern_mismatch": "格式不符合要求",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数，不能带小数",
    "int_parsing_size": "数字过大",
    "float_type": "应为数字",
    "float_parsing": "应为数字",
    "finite_number": "应为有限的数字",
    "decimal_type": "应为数字",
    "decimal_parsing": "应为数字",
    "decimal_max_digits": "数字位数过多",
    "decimal_max_places": "小数位数不能超过 {decimal_places} 位",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "greater_than": "应大于 {gt}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than": "应小于 {lt}",
    "less_than_equal": "不能大于 {le}",
    "multiple_of": "应为 {multiple_of} 的倍数",
    "literal_error": "只能是 {expected}",
    "enum": "只能是 {expected}",
    "date_type": "应为日期，如 2026-02-12",
    "date_parsing": "应为日期，如 2026-02-12",
    "date_from_datetime_parsing": "应为日期，如 2026-02-12",
    "date_from_datetime_inexact": "应为日期，不能带时刻",
    "datetime_type": "应为时间，如 2026-02-12T10:00:00+08:00",
    "datetime_parsing": "应为时间，如 2026-02-12T10:00:00+08:00",
    "datetime_from_date_parsing": "应为时间，如 2026-02-12T10:00:00+08:00",
    "timezone_aware": "时间应带时区，如 +08:00",
    "time_type": "应为时刻，如 10:00",
    "time_parsing": "应为时刻，如 10:00",
    "uuid_type": "应为 UUID",
    "uuid_parsing": "应为 UUID",
    "list_type": "应为数组",
    "dict_type": "应为对象",
    "model_type": "应为对象",
    "model_attributes_type": "应为对象",
    "too_short": "至少要有 {min_length} 项",
    "too_long": "最多只能有 {max_length} 项",
    "json_invalid": "应为 JSON",
    "json_type": "应为 JSON",
    "url_parsing": "应为网址",
    "url_type": "应为网址",
}

#: Where ninja found a parameter; of no interest to the caller.
_PLACES = {"query", "path", "body", "header", "cookie", "form", "file"}


def sentence(error: Mapping[str, Any]) -> tuple[str | None, str]:
    """One error of pydantic as (field, Chinese sentence)."""
    place = [str(part) for part in error.get("loc", ())]
    if place and place[0] in _PLACES:
        # `body` is followed by the name of the Python parameter that received it.
        place = place[2:] if place[0] == "body" and len(place) > 1 else place[1:]
    field = ".".join(place) or None
    context: Mapping[str, Any] = error.get("ctx") or {}
    kind = str(error.get("type", ""))
    if kind == "value_error" and "error" in context:
        return field, str(context["error"])
    text = _SENTENCES.get(kind, "不符合要求")
    try:
        return field, text.format(**context)
    except (KeyError, IndexError):
        return field, "不符合要求"


def from_pydantic(errors: Sequence[Mapping[str, Any]]) -> InvalidInput:
    """All errors of one request as one refusal; the field is that of the first."""
    said = [sentence(error) for error in errors[:5]]
    parts = [f"{field} {text}" if field else text for field, text in said]
    more = f"（另有 {len(errors) - 5} 处）" if len(errors) > 5 else ""
    message = "；".join(parts) + more + "。请按接口说明修改后重试。"
    return InvalidInput(message, field=said[0][0] if said else None)
