"""Lists of the API: pages of a fixed shape, ordered by fields that are named beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet
from ninja import Schema
from pydantic import Field

from .errors import UnknownOrder

T = TypeVar("T")


class Paging(Schema):
    """Which page of a list, in which order; written as `paging: Query[Paging]`."""

    page: int = Field(1, ge=1, le=100_000, description="第几页，从 1 开始")
    size: int = Field(20, ge=1, le=200, description="每页条数")
    order: str = Field(
        "",
        max_length=100,
        description="排序字段，逗号分隔，前面加 - 为倒序；可用的字段见接口说明",
    )


class Page(Schema, Generic[T]):
    """One page of a list."""

    items: list[T]
    total: int = Field(description="总条数")
    page: int = Field(description="第几页")
    size: int = Field(description="每页条数")


def paginate(
    queryset: QuerySet[Any], paging: Paging, order: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One page of a query set.

    `order` maps the public names of fields to the columns that sort them; no other may be asked
    for, since an unindexed column of a large table would be a way to stop the site. The primary
    key comes last in every order, so that no row appears on two pages.
    """
    wanted = [part.strip() for part in paging.order.split(",") if part.strip()]
    columns = []
    for part in wanted:
        name = part.removeprefix("-")
        if name not in (order or {}):
            allowed = "、".join(order or {}) or "无"
            raise UnknownOrder(f"不能按“{name}”排序，可用的字段：{allowed}。", field="order")
        columns.append(("-" if part.startswith("-") else "") + (order or {})[name])
    present = list(queryset.query.order_by) or list(queryset.model._meta.ordering or [])
    queryset = queryset.order_by(*(columns or present), "pk")
    start = (paging.page - 1) * paging.size
    return {
        "items": list(queryset[start : start + paging.size]),
        "total": queryset.count(),
        "page": paging.page,
        "size": paging.size,
    }
