"""The steps of a picker (选择器): search, take, drop."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from kangwei.kernel import clock
from kangwei.kernel.organisations import pickers
from kangwei.kernel.organisations.views.acting import me
from kangwei.kernel.screens.pages import work_page

#: More than this nobody picks by hand, and an address has an end.
MOST_CHOSEN = 100


def _chosen(request: HttpRequest, what: str) -> list[str]:
    return pickers.codes_of(",".join(request.GET.getlist(what)))[:MOST_CHOSEN]


@require_GET
@work_page()
def hits(request: HttpRequest, what: str) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:40]
    today, taken = clock.local_day(clock.now()), _chosen(request, what)
    found = pickers.source(what).hits(me(request), today, words, taken)
    context = {"what": what, "words": words, "hits": found}
    return render(request, "organisations/picker_hits.html", context)


@require_GET
@work_page()
def pick(request: HttpRequest, what: str) -> HttpResponse:
    """The picker after one was taken or dropped; only what is in reach can be taken."""
    pickers.source(what)
    chosen = _chosen(request, what)
    add, drop = request.GET.get("add", ""), request.GET.get("drop", "")
    chosen = [code for code in chosen if code != drop]
    if add and add not in chosen:
        chosen.append(add)
    today = clock.local_day(clock.now())
    return HttpResponse(
        pickers.draw(
            what, user=me(request), today=today, chosen=chosen[:MOST_CHOSEN],
            attrs={"id": f"id_{what}", "autofocus": bool(add)},
        )
    )  # fmt: skip
