"""Two people at one form (并发修改): the second is told who was faster; nothing is overwritten."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format

from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.refusals import Refusal

FIELD = "_kw_version"


class ChangedMeanwhile(Refusal):
    """Somebody saved this row after the form was opened."""

    code = "screens.changed_meanwhile"
    title = "已被他人修改"


def version(row: models.Model, *beside: models.QuerySet[Any]) -> str:
    """A digest of the row as stored, and of the rows `beside` it that the same form saves."""
    stored = [
        list(rows.order_by("pk").values_list())
        for rows in (type(row)._base_manager.filter(pk=row.pk), *beside)
    ]
    return hashlib.sha256(repr(stored).encode()).hexdigest()[:32]


def who_changed(row: models.Model) -> str:
    """`王芳于 2026-11-20 18:50`, from the journal; 其他人 when it does not say."""
    for entry in audit_queries.history(row):
        moment = date_format(timezone.localtime(entry.at), "DATETIME_FORMAT")
        return f"{entry.by or '其他人'}于 {moment}"
    return "其他人"


def refuse_if_changed(row: models.Model, seen: str, *beside: models.QuerySet[Any]) -> None:
    """Lock the row and compare it with what the form was opened on; inside the act's transaction.

    A form that states no version was not opened on a row, and is not judged.
    """
    type(row)._base_manager.select_for_update().filter(pk=row.pk).first()
    if seen and version(row, *beside) != seen:
        raise ChangedMeanwhile(
            f"{who_changed(row)}修改了这条记录，您的修改没有保存；"
            "请重新打开本页，在最新内容上修改。"
        )


def guarded(form: type[forms.ModelForm[Any]]) -> type[forms.ModelForm[Any]]:
    """The form, refusing to save over a row that changed since it was opened."""

    class Guarded(form):  # type: ignore[misc, valid-type]
        def clean(self) -> dict[str, Any] | None:
            cleaned: dict[str, Any] | None = super().clean()
            seen = self.data.get(FIELD, "")
            if seen and self.instance.pk:
                try:
                    refuse_if_changed(self.instance, seen)
                except ChangedMeanwhile as refusal:
                    raise ValidationError(refusal.message, code="changed_meanwhile") from refusal
            return cleaned

    Guarded.__name__ = form.__name__
    return Guarded
