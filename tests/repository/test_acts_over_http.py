"""Everything over the API (architecture): each act of a service can be done over HTTP.

An act is a public function of a services module that writes a line of the journal. An operation of
the API does it when the code of the operation, helpers included, names that very function.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import kangwei
from kangwei.kernel.api.registry import routers

RUN, CLOCK, PART, COMMAND = (
    "done by a long run that an operation starts",
    "done by the clock, never by a person",
    "part of other acts, which have their operations",
    "on the server's command line: it needs the machine, not a right",
)
#: Acts nobody calls over HTTP by themselves, and why.
EXEMPT = {
    "kernel.audit.services.purge_month": COMMAND,
    "kernel.audit.services.record_export": PART,
    "kernel.audit.services.record_unmask": PART,
    "kernel.audit.services.restart_anchor_file": COMMAND,
    "kernel.audit.services.seal_month": CLOCK,
    "kernel.audit.services.verify_journal": RUN,
    "kernel.evaluation.services.evaluate_file": "a file of cases; the API takes them as JSON",
    "kernel.notices.services.keeping.purge": CLOCK,
    "kernel.notices.services.sending.probe": CLOCK,
    "kernel.notices.services.sending.record": CLOCK,
    "kernel.notices.services.sending.run": CLOCK,
    "kernel.organisations.services.accounts.lift_suspension": PART,
    "kernel.organisations.services.accounts.suspend_account": PART,
    "kernel.organisations.services.importing.work_import": RUN,
    "kernel.organisations.services.institutions.rebuild_closure": COMMAND,
    "kernel.organisations.services.regions.import_regions": COMMAND,
    "kernel.oversight.services.campaigns.call_up": RUN,
    "kernel.oversight.services.campaigns.call_up_due": CLOCK,
    "kernel.oversight.services.suspension.suspend_overdue": CLOCK,
    "kernel.oversight.upkeep.new_field_key": RUN,
    "kernel.oversight.upkeep.reencrypt": RUN,
    "kernel.reporting.services.exporting.print_result": "a sheet for paper; exports carry its rows",
}

Act = Callable[..., Any]


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(kangwei.__path__, "kangwei."):
        if not {"tests", "migrations", "standins", "supervisor"} & set(found.name.split(".")):
            yield importlib.import_module(found.name)


def is_services(name: str) -> bool:
    return "services" in name.split(".") or name.split(".")[-1] == "upkeep"


@cache
def body(work: Act) -> ast.AST:
    return ast.parse(inspect.cleandoc("\n" + inspect.getsource(inspect.unwrap(work))))


def named(work: Act) -> set[Any]:
    """The functions that the code of a function names, whatever way it reached them."""
    space = inspect.unwrap(work).__globals__
    found = set()
    for node in ast.walk(body(work)):
        thing = resolved(node, space)
        if callable(thing) and hasattr(thing, "__module__"):
            try:
                found.add(thing)
            except TypeError:
                continue
    return found


def resolved(node: ast.AST, space: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return space.get(node.id)
    if isinstance(node, ast.Attribute):
        above = resolved(node.value, space)
        return getattr(above, node.attr, None) if isinstance(above, ModuleType) else None
    return None


def reached(work: Act, within: str, seen: set[Any]) -> set[Any]:
    """The same, through the helpers that stand in the same module."""
    for thing in named(work) - seen:
        seen.add(thing)
        if inspect.isfunction(thing) and thing.__module__ == within:
            reached(thing, within, seen)
    return seen


def records(work: Act) -> bool:
    """Does it write a line of the journal, itself or through a helper of its own module?"""
    helpers = {
        thing
        for thing in reached(work, work.__module__, {work})
        if inspect.isfunction(thing) and thing.__module__ == work.__module__
    }
    private = {thing for thing in helpers if thing is work or thing.__name__.startswith("_")}
    return any(
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in RECORDERS
        for thing in private
        for node in ast.walk(body(thing))
    )


RECORDERS = {"record", "record_export", "record_unmask"}


def acts() -> dict[str, Act]:
    found = {}
    for module in modules():
        if not is_services(module.__name__):
            continue
        for name, thing in vars(module).items():
            own = inspect.isfunction(thing) and thing.__module__ == module.__name__
            if own and not name.startswith("_") and records(thing):
                found[f"{module.__name__.removeprefix('kangwei.')}.{name}"] = thing
    return found


def done_over_http() -> set[Any]:
    views = {}
    for _, router in routers():
        for path in router.ninja.path_operations.values():
            for operation in path.operations:
                view = inspect.unwrap(operation.view_func)
                views[f"{view.__module__}.{view.__name__}"] = view
    found: set[Any] = set()
    for view in views.values():
        reached(view, view.__module__, found)
    return found


def test_each_act_can_be_done_over_http() -> None:
    done = done_over_http()
    missing = [name for name, act in acts().items() if act not in done and name not in EXEMPT]
    assert missing == []


def test_no_exemption_outlives_its_reason() -> None:
    """An exempt act that is gone, or has an operation by now, leaves the list."""
    done, known = done_over_http(), acts()
    assert [name for name in EXEMPT if name not in known or known[name] in done] == []


def test_the_search_finds_acts_and_their_operations() -> None:
    """Were the reading of the code broken, everything would look fine."""
    known, done = acts(), done_over_http()
    sealed = known["kernel.reporting.services.documents.seal_version"]
    assert sealed in done
    assert len(known) > 100
    assert known["kernel.oversight.upkeep.reencrypt"] not in done
