"""The API as a whole: one NinjaAPI under `/api/v1` made of what the apps registered."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDict
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

from kangwei.kernel.refusals import NotFound, Refusal

from . import errors, registry
from .content import names_taken_twice

logger = logging.getLogger("kangwei.api")


class StrictParser(Parser):
    """JSON as the standard has it; no zero characters, which PostgreSQL cannot store."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = request.body
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            raise errors.BadJson("请求内容不是有效的 JSON（UTF-8），请检查后重试。") from None
        if b"\\u0000" in body and _has_zero(found):
            raise errors.InvalidInput("请求内容含有空字符（\\u0000），请去掉后重试。")
        return found

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        for name, values in data.lists():
            if any(isinstance(value, str) and "\x00" in value for value in values):
                raise errors.InvalidInput(f"{name} 含有空字符，请去掉后重试。", field=name)
        return super().parse_querydict(data, list_fields, request)


def _has_zero(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_zero(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return any(_has_zero(item) for item in value)
    return isinstance(value, str) and "\x00" in value


@functools.cache
def build_api() -> NinjaAPI:
    """The product's API, made once per process, after every app's `ready()`."""
    if twice := names_taken_twice():
        raise ImproperlyConfigured(f"schemas of one name in two apps: {'; '.join(twice)}")
    return make_api(registry.routers(), namespace="api-1")


def make_api(routers: Sequence[tuple[str, registry.KwRouter]], *, namespace: str) -> NinjaAPI:
    """An API of these routers with our parser and our form of errors."""
    api = NinjaAPI(
        title="康维开放接口",
        version="1",
        urls_namespace=namespace,
        docs_url=None,
        openapi_url=None,
        parser=StrictParser(),
    )
    for prefix, router in routers:
        api.add_router(prefix, router.ninja)
    for kind, handler in HANDLERS:
        api.add_exception_handler(kind, handler)
    return api


def _refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return errors.answer(request, refusal)


def _invalid(request: HttpRequest, failure: ValidationError) -> HttpResponse:
    return errors.answer(request, errors.from_pydantic(failure.errors))


def _http_error(request: HttpRequest, failure: HttpError) -> HttpResponse:
    # ninja wraps whatever went wrong while it read the body, our own refusals too.
    if isinstance(failure.__cause__, Refusal):
        return errors.answer(request, failure.__cause__)
    if isinstance(failure.__cause__, RequestDataTooBig):
        return _too_large(request, failure.__cause__)
    return errors.answer(request, errors.BadRequest("请求内容无法解析，请检查后重试。"))


def _too_large(request: HttpRequest, failure: RequestDataTooBig) -> HttpResponse:
    return errors.answer(request, errors.TooLarge("请求内容过大，请分批提交。"))


def _absent(request: HttpRequest, failure: Http404) -> HttpResponse:
    return errors.answer(request, NotFound("对象不存在，或不在您的数据范围内。"))


def _out_of_range(request: HttpRequest, failure: Exception) -> HttpResponse:
    # A number or date beyond its column, or beyond the calendar; nothing was written.
    logger.warning("api.data_error", extra={"path": request.path, "error": str(failure)[:200]})
    return errors.answer(request, errors.InvalidInput("有数值或日期超出允许的范围，请检查后重试。"))


def _away(request: HttpRequest, failure: Exception) -> HttpResponse:
    logger.error("api.database_away", extra={"path": request.path, "error": str(failure)[:200]})
    return errors.answer(
        request, errors.Unavailable("数据库暂时不可用，请稍后重试。", retry_after=5)
    )


def _unforeseen(request: HttpRequest, failure: Exception) -> HttpResponse:
    logger.error("api.unforeseen", exc_info=failure, extra={"path": request.path})
    trace_id = getattr(request, "trace_id", "")
    return errors.answer(
        request, errors.Unforeseen(f"服务内部错误，请把跟踪编号 {trace_id} 告诉系统管理员。")
    )


#: ninja picks the handler of the nearest class.
HANDLERS: list[tuple[type[Exception], Callable[[HttpRequest, Any], HttpResponse]]] = [
    (Refusal, _refused),
    (ValidationError, _invalid),
    (HttpError, _http_error),
    (Http404, _absent),
    (RequestDataTooBig, _too_large),
    (DataError, _out_of_range),
    (OverflowError, _out_of_range),
    (OperationalError, _away),
    (InterfaceError, _away),
    (Exception, _unforeseen),
]
