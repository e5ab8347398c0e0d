"""The trial page (试算): drop a file of cases, read the answers beside them, take them along."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from kangwei.kernel import clock
from kangwei.kernel.refusals import Refusal
from kangwei.kernel.screens.pages import page, work_page

from . import services
from .forms import TrialForm
from .registry import engines
from .rules import cases

#: The page shows this many; the files hold all.
SHOWN = 200
BOM = "\ufeff"


@work_page()
@require_http_methods(["GET", "POST"])
def trial(request: HttpRequest) -> HttpResponse:
    chosen = request.GET.get("engine") or request.POST.get("engine") or "workday"
    known = engines()
    engine = next((one for one in known if one.name == chosen), known[0])
    form = TrialForm(request.POST or None, request.FILES or None, initial={"engine": engine.name})
    context: dict[str, Any] = {
        "form": form,
        "tabs": [
            (f"{one.title} {one.name}", f"?engine={one.name}", one is engine) for one in known
        ],
        "engine": engine,
        "example": json.dumps(engine.example, ensure_ascii=False),
    }
    if request.method == "POST" and form.is_valid():
        try:
            answered = services.evaluate_file(
                engine=services.known_engine(form.cleaned_data["engine"]),
                content=form.content(),
                by=request.user,  # type: ignore[arg-type]
                at=clock.now(),
            )
        except Refusal as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        else:
            taken = request.POST.get("as", "")
            if taken in {"jsonl", "csv"}:
                return _file(taken, engine.name, [answer for _, answer in answered])
            context |= {
                "rows": [_row(*pair) for pair in answered[:SHOWN]],
                "count": len(answered),
                "failed": sum("error" in answer for _, answer in answered),
                "shown": SHOWN,
            }
    return page(request, "evaluation/trial.html", context, title="试算")


def _row(case: Any, answer: cases.Answer) -> dict[str, Any]:
    plain = json.loads(cases.encode(answer))
    error = plain.pop("error", None)
    key = plain.pop("id", None)
    return {
        "id": "" if key is None else key,
        "case": case if isinstance(case, str) else json.dumps(case, ensure_ascii=False, indent=1),
        "error": error,
        "fields": [(name, _said(value)) for name, value in plain.items()],
    }


def _said(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "、".join(value) or "—"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _file(kind: str, engine: str, answers: list[cases.Answer]) -> HttpResponse:
    if kind == "jsonl":
        response = HttpResponse(cases.to_jsonl(answers), content_type="application/x-ndjson")
    else:
        # The mark tells a Chinese spreadsheet program that the file is UTF-8.
        response = HttpResponse(BOM + cases.to_csv(answers), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{engine}-answers.{kind}"'
    return response
