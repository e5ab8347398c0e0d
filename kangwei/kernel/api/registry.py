"""The frame in which apps write their part of the API (开放接口的登记).

    router = KwRouter(tag="机构人员")

    @router.get("/institutions", right="organisations.view_institution", rows=Institution,
                response=Page[InstitutionOut], summary="机构列表")
    def institutions(request: ApiRequest, paging: Query[Paging]) -> Any:
        found = Institution.objects.visible_to(request.user)
        return paginate(found, paging, order={"code": "code"})

    @router.act("/institutions/{institution_id}/close", right="organisations.manage_institution",
                rows=Institution, response=InstitutionOut, summary="停用机构")
    def close(request: ApiRequest, institution_id: int, content: CloseIn) -> Any: …

and `register_router("/organisations", router)` in `AppConfig.ready()`. Every operation names its
right, so the matrix of accesses can be drawn and tested from `operations()`.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import Router
from pydantic import BaseModel, TypeAdapter

from kangwei.kernel import clock

from .gate import Gate
from .idempotency import answer_act

if TYPE_CHECKING:
    from kangwei.kernel.organisations.models import Account

    from .models import ApiKey

F = TypeVar("F", bound=Callable[..., Any])


class ApiRequest(HttpRequest):
    """The request an operation gets: who, when, under which trace."""

    if TYPE_CHECKING:
        user: Account
        at: datetime
        trace_id: str
        api_key: ApiKey | None


@dataclass(frozen=True)
class OperationInfo:
    """One entry of the API, as the matrix of accesses sees it.

    `rows` is the model whose rows the operation reads or changes: another institution's row must
    look absent. None stands for what belongs to no institution (shared facts, one's own account).
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    right: str | None
    rows: type[models.Model] | None
    is_act: bool


class KwRouter:
    """The operations of one app, under one tag of the documentation."""

    def __init__(self, *, tag: str) -> None:
        self.tag = tag
        self.ninja = Router(tags=[tag])
        self.operations: list[OperationInfo] = []

    def get(
        self,
        path: str,
        *,
        right: str | None,
        summary: str,
        rows: type[models.Model] | None = None,
        response: Any = None,
        description: str = "",
        example: Any = None,
    ) -> Callable[[F], F]:
        """A question. `response` is the schema of the answer; None for files and other bytes."""
        return self._register(
            "GET", path, right, summary, rows, response, description, example, is_act=False
        )

    def act(
        self,
        path: str,
        *,
        right: str | None,
        summary: str,
        rows: type[models.Model] | None = None,
        response: Any = None,
        description: str = "",
        example: Any = None,
    ) -> Callable[[F], F]:
        """An act: a POST in one transaction, done once per `Idempotency-Key`.

        Without a `response` schema the answer is empty (204). `example` shows a request.
        """
        return self._register(
            "POST", path, right, summary, rows, response, description, example, is_act=True
        )

    def ask(
        self,
        path: str,
        *,
        right: str | None,
        summary: str,
        rows: type[models.Model] | None = None,
        response: Any = None,
        description: str = "",
        example: Any = None,
    ) -> Callable[[F], F]:
        """A question whose parameters are too long for an address: a POST that changes nothing."""
        return self._register(
            "POST", path, right, summary, rows, response, description, example, is_act=False
        )

    def _register(
        self,
        method: Literal["GET", "POST"],
        path: str,
        right: str | None,
        summary: str,
        rows: type[models.Model] | None,
        response: Any,
        description: str,
        example: Any,
        *,
        is_act: bool,
    ) -> Callable[[F], F]:
        def register(view: F) -> F:
            name = f"{_app_of(view)}.{view.__name__}"
            gate = Gate(right=right, is_act=is_act)
            carried = _carry(view, name=name, response=response, is_act=is_act)
            self.ninja.add_api_operation(
                path,
                [method],
                carried,
                auth=gate,
                response=response if response is not None or not is_act else {204: None},
                operation_id=name,
                summary=summary,
                description=description or inspect.cleandoc(view.__doc__ or ""),
                openapi_extra={"x-kw": {"act": is_act, "right": right, "example": example}},
            )
            operation = self.ninja.path_operations[path].operations[-1]
            gate.expect(operation.models)
            self.operations.append(OperationInfo(method, path, name, summary, right, rows, is_act))
            return view

        return register


def _carry(view: Callable[..., Any], *, name: str, response: Any, is_act: bool) -> Any:
    """The view as ninja calls it: answers with bytes, so that what is stored is what is sent."""
    adapter = TypeAdapter(response) if response is not None else None

    def body(request: HttpRequest, result: Any) -> bytes:
        if adapter is None:
            return b""
        checked = adapter.validate_python(result, context={"request": request})
        return adapter.dump_json(checked, by_alias=True)

    @functools.wraps(view)
    def question(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        result = view(request, **in_local_time(arguments))
        if isinstance(result, HttpResponseBase):
            return result
        return HttpResponse(body(request, result), content_type="application/json")

    @functools.wraps(view)
    def act(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        def once() -> tuple[int, bytes]:
            result = view(request, **in_local_time(arguments))
            return (200 if adapter is not None else 204), body(request, result)

        return answer_act(request, operation=name, act=once)

    carried = act if is_act else question
    # Resolved here, where the app's own names are known; ninja would look them up in this module.
    carried.__signature__ = _resolved(view)  # type: ignore[attr-defined]
    return carried


def in_local_time(value: Any) -> Any:
    """What a caller wrote without zone means Asia/Shanghai, in every schema and at every depth."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=clock.SHANGHAI)
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            before = getattr(value, name)
            after = in_local_time(before)
            if after is not before:
                setattr(value, name, after)
        return value
    if isinstance(value, list):
        return [in_local_time(one) for one in value]
    if isinstance(value, dict):
        return {key: in_local_time(one) for key, one in value.items()}
    return value


def _resolved(view: Callable[..., Any]) -> inspect.Signature:
    hints = typing.get_type_hints(view, include_extras=True)
    signature = inspect.signature(view)
    parameters = [
        parameter.replace(annotation=hints.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
    ]
    return signature.replace(parameters=parameters, return_annotation=Any)


def _app_of(view: Callable[..., Any]) -> str:
    """`kangwei.kernel.organisations.api` → `organisations`; oversight speaks for jobs."""
    parts = view.__module__.split(".")
    last = parts[-1]
    return last.removesuffix("_api") if last.endswith("_api") else parts[-2]


_routers: list[tuple[str, KwRouter]] = []


def register_router(prefix: str, router: KwRouter) -> None:
    """Hang an app's operations under `/api/v1{prefix}`."""
    if any(prefix == taken for taken, _ in _routers):
        raise ValueError(f"{prefix} is registered twice")
    _routers.append((prefix, router))


def routers() -> Sequence[tuple[str, KwRouter]]:
    return _routers


def operations() -> list[OperationInfo]:
    """Every operation with its whole path, for the matrix of accesses and the documentation."""
    return [
        OperationInfo(
            one.method,
            f"/api/v1{prefix}{one.path}".rstrip("/"),
            one.name,
            one.summary,
            one.right,
            one.rows,
            one.is_act,
        )
        for prefix, router in _routers
        for one in router.operations
    ]


__all__ = [
    "ApiRequest",
    "KwRouter",
    "OperationInfo",
    "operations",
    "register_router",
    "routers",
]
