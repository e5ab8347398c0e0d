"""Error pages (错误页): what happened, what to do, and the number to tell the administrator.

They must stand when little else does: a failing database or a broken session may not break them.
Under `/api/` the frame of the API turns every error into its own form.
"""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

logger = logging.getLogger("kangwei.errors")

TEXTS: dict[int, tuple[str, str, list[str]]] = {
    400: (
        "请求无法理解",
        "浏览器送来的内容有误，系统没有执行任何操作。",
        ["请返回上一页刷新后重试。", "如果链接来自他人，请核对是否复制完整。"],
    ),
    403: (
        "没有权限",
        "您的账号不能打开这个页面，系统没有执行任何操作。",
        ["请确认是否用对了账号。", "如工作需要，请联系本单位管理员授权。"],
    ),
    404: (
        "页面不存在",
        "没有找到您要打开的页面或数据。",
        ["地址可能已变更，或数据已被删除。", "也可能不在您的数据范围内；请联系本单位管理员核实。"],
    ),
    413: (
        "提交的内容过大",
        "提交的内容超过了系统允许的大小，没有保存。",
        ["请缩小文件或分批提交。"],
    ),
    429: (
        "操作过于频繁",
        "短时间内的请求太多，系统暂时没有处理这一次。",
        ["请稍候一分钟再试。"],
    ),
    500: (
        "系统出错了",
        "系统没能完成这次操作，未完成的修改已全部撤回。",
        ["请稍后重试。", "如仍不成功，请把下面的跟踪编号告诉管理员。"],
    ),
    503: (
        "系统正在维护",
        "系统暂时不能提供服务。",
        ["请稍后刷新本页。"],
    ),
}
CSRF_TEXT = (
    "页面已过期",
    "这个页面打开太久，或浏览器禁用了 Cookie；为防止他人冒用，系统没有执行这次提交。",
    ["请返回上一页刷新，重新填写后提交。", "请确认浏览器允许本站使用 Cookie。"],
)


def error_page(
    request: HttpRequest, status: int, texts: tuple[str, str, list[str]] | None = None
) -> HttpResponse:
    """The page of this status: in the shell for the signed-in, bare for strangers."""
    title, text, advice = texts or TEXTS[status]
    context: dict[str, Any] = {
        "title": title,
        "error_status": status,
        "error_text": text,
        "error_advice": advice,
    }
    try:
        signed_in = bool(request.user.is_authenticated)
        template = "kw/error.html" if signed_in and status != 500 else "kw/error_bare.html"
        return HttpResponse(render_to_string(template, context, request=request), status=status)
    except Exception:
        # The shell itself is what fails (no database, no session): the sentence alone still helps.
        logger.exception("web.error_page.failed")
        plain = f"{title}：{text} 跟踪编号 {trace(request)}"
        return HttpResponse(plain, status=status, content_type="text/plain; charset=utf-8")


def trace(request: HttpRequest) -> str:
    return str(getattr(request, "trace_id", ""))


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return error_page(request, 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return error_page(request, 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    return error_page(request, 500)


def too_many(request: HttpRequest) -> HttpResponse:
    return error_page(request, 429)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(request, 403, CSRF_TEXT)
