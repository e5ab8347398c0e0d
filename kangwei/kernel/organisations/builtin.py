"""What every installation starts with (内置数据): kinds of institutions, roles, names of rights.

The files in `data/` are the source; the tables follow them after each migrate. Apps above this
one add their rights to the built-in roles with `register_role_rights` at start-up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import models, transaction
from django.utils import translation

from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import InstitutionKind, Role, SecurityPolicy

DATA = Path(__file__).parent / "data"

_role_rights: dict[str, list[str]] = {}


def register_role_rights(rights: Mapping[str, Iterable[str]]) -> None:
    """Give rights of an app to built-in roles, e.g. `{"auditor": ["audit.view_*"]}`."""
    for role, patterns in rights.items():
        _role_rights.setdefault(role, []).extend(patterns)


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return content


@transaction.atomic
def fill_tables(*, at: datetime) -> None:
    """Bring the tables in line with the files; may run any number of times.

    What changed is one act of the system, so that nobody takes it for a hand in the database.
    """
    # Commands speak English; names of models must be read in the language of the screens.
    with translation.override(settings.LANGUAGE_CODE):
        name_default_permissions()
    filled = {"kinds": fill_kinds(), "roles": fill_roles(), "policies": fill_policy()}
    if any(filled.values()):
        audit.record(act="organisations.role.filled", at=at, detail=filled)


def follow(model: type[models.Model], key: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Make or change the row of this key; whether anything had to be written."""
    row, made = model._base_manager.get_or_create(**key, defaults=dict(values))
    stale = [name for name, value in values.items() if getattr(row, name) != value]
    for name in stale:
        setattr(row, name, values[name])
    if stale:
        row.save()
    return made or bool(stale)


def fill_kinds() -> int:
    """How many kinds were new or different."""
    return sum(
        follow(
            InstitutionKind,
            {"code": kind["code"]},
            {"name": kind["name"], "group": kind["group"], "order": order},
        )
        for order, kind in enumerate(read("institution_kinds.json")["kinds"])
    )


def fill_policy() -> int:
    """The policy's own defaults, once; afterwards it is the site's."""
    return int(follow(SecurityPolicy, {"pk": 1}, {}))


def all_rights() -> set[str]:
    pairs = Permission.objects.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in pairs}


def expand(patterns: Iterable[str], rights: Iterable[str]) -> list[str]:
    """Rights matched by patterns like `audit.view_*`, in a stable order."""
    wanted = list(patterns)
    return sorted(right for right in rights if any(fnmatchcase(right, p) for p in wanted))


def fill_roles() -> int:
    """How many built-in roles were new or different."""
    rights = all_rights()
    return sum(
        follow(
            Role,
            {"code": role["code"]},
            {
                "name": role["name"],
                "description": role["description"],
                "rights": expand([*role["rights"], *_role_rights.get(role["code"], [])], rights),
                "scope_kind": role["scope"],
                "masking_level": role["masking_level"],
                "second_factor_required": role["second_factor"],
                "session_limit": role["session_limit"],
                "duty": role.get("duty", ""),
                "assignable": role.get("assignable", False),
                "built_in": True,
                "order": order,
            },
        )
        for order, role in enumerate(read("roles.json")["roles"])
    )


DEFAULT_ACTIONS = {"add": "新增", "change": "修改", "delete": "删除", "view": "查看"}


def name_default_permissions() -> None:
    """Django names its default rights "Can add …"; a Chinese reader gets "新增账号"."""
    stale = []
    for permission in Permission.objects.select_related("content_type"):
        action, _, model_name = permission.codename.partition("_")
        title = DEFAULT_ACTIONS.get(action)
        if title is None or model_name != permission.content_type.model:
            continue
        try:
            model = apps.get_model(permission.content_type.app_label, model_name)
        except LookupError:
            continue
        if action not in model._meta.default_permissions:
            continue
        name = f"{title}{model._meta.verbose_name}"
        if permission.name != name:
            permission.name = name
            stale.append(permission)
    Permission.objects.bulk_update(stale, ["name"], batch_size=200)
