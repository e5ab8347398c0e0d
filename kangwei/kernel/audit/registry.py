"""What the journal knows of the apps: their acts by name, their tables by trigger or by reason.

Apps register at start-up. A table is either journalled row by row, or covered by hourly digests
(segments), or exempt for a stated reason; `unregistered_models` lists what was forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.apps import apps
from django.db import models

from kangwei.kernel.crypto.fields import EncryptedTextField

ACT_NAME = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,3}$")


@dataclass(frozen=True)
class Journalled:
    """A table whose every changed row enters the journal."""

    model: type[models.Model]
    object_type: str
    table: str
    key: str
    hidden: tuple[str, ...]


@dataclass(frozen=True)
class Segment:
    """A busy table without triggers: the digest of each finished hour enters the chain."""

    table: str
    time_column: str
    columns: tuple[str, ...]
    #: Rows may be cleared this long after their hour; later an absence is no finding.
    kept_for: timedelta | None


_acts: dict[str, str] = {}
_journalled: dict[str, Journalled] = {}
_exempt: dict[str, str] = {}
_segments: dict[str, Segment] = {}
_code_titles: dict[tuple[str, str], Callable[[], Mapping[str, str]]] = {}


def register_acts(titles: Mapping[str, str]) -> None:
    """Give acts their Chinese titles; an act without title cannot be recorded."""
    for act, title in titles.items():
        if not ACT_NAME.match(act):
            raise ValueError(f"{act!r} is no act name; write app.object.happened")
        if _acts.setdefault(act, title) != title:
            raise ValueError(f"{act!r} is already titled {_acts[act]!r}")


#: Plain maintenance of reference data needs no names of its own: app.model.created and so on.
_PLAIN = {"created": "新增", "changed": "修改", "deleted": "删除", "imported": "导入"}


def act_title(act: str) -> str:
    """The Chinese title of an act; its own name when nobody gave it one."""
    if act in _acts:
        return _acts[act]
    subject, _, verb = act.rpartition(".")
    model = model_of(subject) if verb in _PLAIN else None
    return f"{_PLAIN[verb]}{model._meta.verbose_name}" if model else act


def is_known(act: str) -> bool:
    return act_title(act) != act


def acts() -> dict[str, str]:
    """Every registered act and its title, for choice lists."""
    return dict(sorted(_acts.items()))


def object_type(model: type[models.Model]) -> str:
    return model._meta.concrete_model._meta.label_lower  # type: ignore[union-attr]


def model_of(object_type_: str) -> type[models.Model] | None:
    try:
        return apps.get_model(object_type_)
    except (LookupError, ValueError):
        return None


def name_codes(
    model: type[models.Model], field: str, titles: Callable[[], Mapping[str, str]]
) -> None:
    """This field holds a list of codes; a history shows their titles instead."""
    _code_titles[object_type(model), field] = titles


def code_titles(object_type_: str, field: str) -> Callable[[], Mapping[str, str]] | None:
    return _code_titles.get((object_type_, field))


def journal(model: type[models.Model], hidden: Sequence[str] = ()) -> None:
    """Note every changed row of this table. Hidden fields show that they changed, never what.

    Encrypted fields, their digests and passwords are hidden without being named.
    """
    secret: set[str] = {str(model._meta.get_field(name).column) for name in hidden}  # type: ignore[union-attr]
    for field in model._meta.local_fields:
        if isinstance(field, EncryptedTextField):
            secret.add(str(field.column))
            if field.digest_column:
                secret.add(str(model._meta.get_field(field.digest_column).column))  # type: ignore[union-attr]
        elif field.name == "password":
            secret.add(str(field.column))
    primary = model._meta.pk
    assert primary is not None
    assert primary.column
    _journalled[model._meta.db_table] = Journalled(
        model, object_type(model), model._meta.db_table, primary.column, tuple(sorted(secret))
    )


def exempt(model: type[models.Model], reason: str) -> None:
    """Leave this table out of the journal, for a reason that a reviewer accepts."""
    if not reason:
        raise ValueError("an exemption needs its reason")
    _exempt[model._meta.db_table] = reason


def segment(
    table: str,
    time_column: str,
    columns: Sequence[str],
    *,
    kept_for: timedelta | None = None,
) -> None:
    """Let the hourly digest of a trigger-less table enter the chain.

    `time_column` is the moment the row was written (rows never arrive in a past hour), and
    `columns` are the ones that must stay as they are.
    """
    _segments[table] = Segment(table, time_column, tuple(columns), kept_for)


def journalled() -> list[Journalled]:
    return sorted(_journalled.values(), key=lambda item: item.table)


def exemptions() -> dict[str, str]:
    return dict(sorted(_exempt.items()))


def segments() -> list[Segment]:
    return sorted(_segments.values(), key=lambda item: item.table)


def unregistered_models(belongs: Callable[[str], bool]) -> list[str]:
    """Models of our apps about which nobody decided; a repository test wants none."""
    known = _journalled.keys() | _exempt.keys() | _segments.keys()
    return sorted(
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and belongs(model.__module__)
        and model._meta.db_table not in known
    )
