"""Who may enter an operation (接口准入): account, right, key scope, rate, shape of the request.

An account comes by its session, then unsafe calls need the CSRF token, or by a key in
`Authorization: Bearer kw_<prefix>_<secret>`. What the request looks like is checked before its
content is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from ninja.utils import check_csrf

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.refusals import NotPermitted

from . import services
from .errors import (
    BadRequest,
    CsrfMissing,
    KeyMalformed,
    KeyMissing,
    NotSignedIn,
    UnknownParameter,
    WrongContentType,
)

IDEMPOTENCY_KEY = re.compile(r"^[A-Za-z0-9_.:\-]{8,200}$")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Called by ninja before an operation's parameters are read; answers the account."""

    def __init__(self, *, right: str | None, is_act: bool) -> None:
        self.right = right
        self.is_act = is_act
        self._query: frozenset[str] = frozenset()
        self._content_type = ""

    def expect(self, models: Iterable[Any]) -> None:
        """Learn from the operation's signature which parameters and which content it reads."""
        for model in models:
            source = model.__ninja_param_source__
            if source == "query":
                self._query |= frozenset(model.__ninja_flatten_map__)
            elif source == "body":
                self._content_type = "application/json"
            elif source in {"form", "file"}:
                self._content_type = "multipart/form-data"

    def __call__(self, request: HttpRequest) -> Any:
        account = enter(request, self.right)
        self._check_shape(request)
        if self.is_act:
            _check_idempotency_key(request)
        return account

    def _check_shape(self, request: HttpRequest) -> None:
        unknown = [str(name)[:60] for name in request.GET if name not in self._query]
        if unknown:
            known = "、".join(sorted(self._query)) or "无"
            raise UnknownParameter(
                f"不认识参数“{unknown[0]}”，可用的参数：{known}。",
                field=unknown[0],
            )
        if "\x00" in request.path:
            raise BadRequest("地址中含有空字符，请检查后重试。")
        if self._content_type and request.content_type != self._content_type:
            raise WrongContentType(
                f"请求内容应为 {self._content_type}，"
                f"现在是 {(request.content_type or '空')[:60]}；请设置 Content-Type。"
            )


def enter(request: HttpRequest, right: str | None) -> Any:
    """Recognise the caller and check the right; the request then knows account and moment."""
    at = clock.now()
    request.at = at  # type: ignore[attr-defined]
    key = None
    header = request.headers.get("Authorization", "")
    if header:
        key = services.authenticate(header=header, address=audit.current_origin().address, at=at)
        request.user = key.account
    account = request.user
    if not account.is_authenticated:
        raise NotSignedIn("请先登录，或在 Authorization 中提供接口密钥。")
    if key is None and request.method not in SAFE_METHODS and check_csrf(request) is not None:
        raise CsrfMissing("缺少或无效的 X-CSRFToken，请刷新页面后重试。")
    request.api_key = key  # type: ignore[attr-defined]
    if right is not None and not account.has_perm(right):
        audit.record(
            act="api.access.refused",
            by=account,
            at=at,
            detail={"path": request.path[:300], "right": right},
            result="refused",
        )
        raise NotPermitted(
            f"没有权限 {right}；请联系本单位管理员授权"
            + ("，并确认密钥的权限范围包含它。" if key is not None else "。")
        )
    return account


def _check_idempotency_key(request: HttpRequest) -> None:
    given = request.headers.get("Idempotency-Key")
    if given is None:
        if request.api_key is not None:  # type: ignore[attr-defined]
            raise KeyMissing(
                "用密钥调用操作类接口时必须提供 Idempotency-Key（如 UUID），重试时保持不变。",
                field="Idempotency-Key",
            )
    elif not IDEMPOTENCY_KEY.match(given):
        raise KeyMalformed(
            "Idempotency-Key 应为 8 到 200 个字母、数字或 -_.: 字符，建议使用 UUID。",
            field="Idempotency-Key",
        )
