"""Data scope (数据范围) of every row that a list, a choice or an export may touch."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model, QuerySet
from django.http import HttpRequest


def scope_of(model: type[Model], request: HttpRequest) -> QuerySet[Any] | None:
    """The rows of `model` this account may see; None where the model knows no scope."""
    manager: Any = model._default_manager
    if hasattr(manager, "visible_to"):
        visible: QuerySet[Any] = manager.visible_to(request.user)
        return visible
    return None


def scoped(model: type[Model], request: HttpRequest, *, unscoped_because: str) -> QuerySet[Any]:
    """Like `scope_of`, but a model without scope must say why (reference data, own rows …)."""
    rows = scope_of(model, request)
    if rows is not None:
        return rows
    if not unscoped_because:
        raise ImproperlyConfigured(
            f"{model._meta.label} has no visible_to(user); give its manager one, or set "
            "`unscoped_because` on its admin with the reason."
        )
    return model._default_manager.all()
