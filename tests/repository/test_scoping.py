"""`visible_to(user)` is the only way from a request to rows (数据范围)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.contrib import admin
from django.db import models

from kangwei.kernel.api.registry import operations
from kangwei.kernel.screens.admin import KwModelAdmin
from kangwei.web import urls
from tests.repository.source import modules

#: Manager methods that are scoped, or make rows instead of reading them.
SCOPED = {"visible_to", "reached_by", "create", "bulk_create", "read", "write", "none"}


def screens() -> list[tuple[type[models.Model], Any]]:
    assert urls.urlpatterns
    return list(admin.site._registry.items())


def test_every_list_screen_is_ours() -> None:
    strangers = [model for model, screen in screens() if not isinstance(screen, KwModelAdmin)]
    assert strangers == []


def test_every_list_screen_is_scoped_or_says_why_not() -> None:
    silent = [
        model._meta.label
        for model, screen in screens()
        if not hasattr(model._default_manager, "visible_to") and not screen.unscoped_because
    ]
    assert silent == []


def test_rows_the_api_names_can_be_scoped() -> None:
    assert operations()
    unscoped = {
        str(operation.rows._meta.label)
        for operation in operations()
        if operation.rows is not None and not hasattr(operation.rows._default_manager, "visible_to")
    }
    assert unscoped == set()


def _edges() -> Iterator[tuple[str, ast.Module]]:
    """Where requests arrive: views and API of every app."""
    for name, tree in modules(below="kangwei/"):
        parts = name.removesuffix(".py").split("/")
        if parts[-1] in {"views", "api"} or {"views", "api"} & set(parts[3:-1]):
            yield name, tree


def _chain(call: ast.Call, parents: dict[int, ast.AST]) -> ast.AST:
    """The whole of `Model.objects.filter(…).order_by(…)` that a call begins."""
    node: ast.AST = call
    while isinstance(parents.get(id(node)), ast.Attribute | ast.Call):
        above = parents[id(node)]
        if isinstance(above, ast.Call) and above.func is not node:
            break
        node = above
    return node


def _fetches(function: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Chains like `Model.objects.filter(…).first()` with the name of the model."""
    parents = {
        id(child): node for node in ast.walk(function) for child in ast.iter_child_nodes(node)
    }
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Attribute)
            and node.func.value.attr in {"objects", "_default_manager"}
            and isinstance(node.func.value.value, ast.Name)
            and node.func.attr not in SCOPED
        ):
            yield _chain(node, parents), node.func.value.value.id


def _said(function: ast.FunctionDef, is_model: Any) -> set[str]:
    """Parameters that carry what the request says; a row somebody already reached is none."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {
        argument.arg
        for argument in every
        if not (argument.annotation and is_model(ast.unparse(argument.annotation)))
    }


def unscoped_fetches(tree: ast.Module, is_model: Any) -> Iterator[str]:
    """Rows of a scoped model picked by what the request says alone.

    A condition that rests on something already reached (the account, a row of one's own) is fine,
    and so are rows handed to `scope.limit(…)`.
    """
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        limited = {
            id(inner)
            for node in ast.walk(function)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "limit"
            for inner in ast.walk(node)
        }
        for chain, model in _fetches(function):
            if id(chain) in limited or not is_model(model):
                continue
            names = {node.id for node in ast.walk(chain) if isinstance(node, ast.Name)}
            reached = names - _said(function, is_model) - {"request", "Q", "F", "int", "str", model}
            if not reached and "request.user" not in ast.unparse(chain):
                yield f"{function.name}: {ast.unparse(chain)[:90]}"


#: Shared words of the whole country or product: seeing them is a right, not a matter of scope.
SHARED = {"Region", "Role"}
#: function -> why it may look beyond the scope.
BEYOND = {
    "kangwei/kernel/oversight/api.py _give": "授权超出上级自身范围时由授权服务拒绝",
}


def test_views_and_api_start_from_the_scope() -> None:
    found = []
    for name, tree in _edges():
        module = import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))

        def is_scoped(model: str, module: Any = module) -> bool:
            manager = getattr(getattr(module, model, None), "objects", None)
            return model not in SHARED and hasattr(manager, "visible_to")

        found += [f"{name} {line}" for line in unscoped_fetches(tree, is_scoped)]
    assert [line for line in found if line.partition(":")[0] not in BEYOND] == []


@pytest.mark.parametrize(
    "line",
    [
        "Institution.objects.get(pk=pk)",
        "Institution.objects.all()",
        "Institution.objects.filter(code=request.GET['code'])",
    ],
)
def test_the_check_sees_a_row_picked_by_the_request_alone(line: str) -> None:
    tree = ast.parse(f"def view(request, pk):\n    return {line}")
    assert list(unscoped_fetches(tree, lambda name: name[0].isupper()))


@pytest.mark.parametrize(
    "line",
    [
        "Institution.objects.visible_to(request.user).get(pk=pk)",
        "Key.objects.filter(account=request.user, pk=pk)",
        "Parent.objects.filter(institution=found)",
        "Session.objects.open().filter(account=request.user, pk=pk)",
        "scope.limit(Institution.objects.all(), 'pk')",
    ],
)
def test_the_check_lets_scoped_rows_pass(line: str) -> None:
    tree = ast.parse(f"def view(request, pk):\n    found = one()\n    return {line}")
    assert not list(unscoped_fetches(tree, lambda name: name[0].isupper()))
