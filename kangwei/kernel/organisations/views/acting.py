"""What every page of an act shares: find the row, show the form, do it once, say what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.refusals import NotFound, Refusal
from kangwei.kernel.screens import locking
from kangwei.kernel.screens.pages import page

__all__ = ["act", "me", "one"]


def me(request: HttpRequest) -> Account:
    """The signed-in account; `work_page` lets nobody else in."""
    assert isinstance(request.user, Account)
    return request.user


def act(
    request: HttpRequest,
    form: forms.BaseForm,
    *,
    title: str,
    do: Callable[[dict[str, Any]], HttpResponse | str],
    back: str,
    submit: str = "保存",
    intro: str = "",
    danger: bool = False,
    changes: models.Model | None = None,
    beside: Sequence[models.QuerySet[Any]] = (),
    template: str = "organisations/act.html",
    **context: Any,
) -> HttpResponse:
    """Show a form; when sent and sound, do the act.

    `do` answers the sentence to show after it, or a whole page. A refusal goes to the field it
    names, or above the form. A form that `changes` a row is refused when somebody else saved the
    row, or the rows `beside` it that the form saves too, since the form was opened.
    """
    seen = request.POST.get(locking.FIELD, "")
    if request.method == "POST" and form.is_valid():
        try:
            if changes is None:
                outcome = do(form.cleaned_data)
            else:
                with transaction.atomic():
                    locking.refuse_if_changed(changes, seen, *beside)
                    outcome = do(form.cleaned_data)
        except NotFound:
            raise
        except Refusal as refusal:
            field = refusal.field if refusal.field in form.fields else None
            form.add_error(field, refusal.message)
        else:
            if isinstance(outcome, HttpResponse):
                return outcome
            messages.success(request, outcome)
            return HttpResponseRedirect(back)
    return page(
        request,
        template,
        {
            "form": form,
            "back": back,
            "submit": submit,
            "intro": intro,
            "danger": danger,
            "multipart": form.is_multipart(),
            "version_field": locking.FIELD,
            "version": changes and (seen or locking.version(changes, *beside)),
            **context,
        },
        title=title,
        status=422 if form.is_bound and form.errors else 200,
    )
