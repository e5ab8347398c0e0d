"""The outermost and innermost of what every request passes for the API's sake.

Outside ninja Django answers with pages: an unknown address, a wrong method, a body too large, a
refused host. Under `/api/` each becomes the one form of errors. On the way out every request is
counted for `/metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from . import errors, traffic

Handler = Callable[[HttpRequest], HttpResponseBase]
PREFIX = "/api/"


class AnswersMiddleware:
    """Count the answer; under `/api/` give every error the one form."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = self.get_response(request)
        if (
            response.status_code >= 400
            and request.path.startswith(PREFIX)
            and not response.get("Content-Type", "").startswith("application/json")
        ):
            response = _in_form(request, response)
        traffic.count(request, response.status_code, time.perf_counter() - started)
        return response


def _in_form(request: HttpRequest, given: HttpResponseBase) -> HttpResponse:
    status = given.status_code
    refusal: errors.ApiRefusal
    if status == 404:
        refusal = errors.NoSuchAddress("没有这个接口地址，请对照接口说明检查。")
    elif status == 405:
        allowed = given.get("Allow", "")
        refusal = errors.WrongMethod(f"该地址不支持 {request.method}，可用：{allowed}。")
    elif status == 413:
        refusal = errors.TooLarge("请求内容过大，请分批提交。")
    elif status == 415:
        refusal = errors.WrongContentType("请求内容的类型不支持，请设置 Content-Type。")
    elif status == 403:
        refusal = errors.CsrfMissing("缺少或无效的 X-CSRFToken，请刷新页面后重试。")
    elif status < 500:
        refusal = errors.BadRequest("请求无法理解，请对照接口说明检查。")
    else:
        trace_id = getattr(request, "trace_id", "")
        refusal = errors.Unforeseen(f"服务内部错误，请把跟踪编号 {trace_id} 告诉系统管理员。")
    response = errors.answer(request, refusal)
    if status == 405:
        response["Allow"] = given.get("Allow", "")
    return response
