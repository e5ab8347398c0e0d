"""The home page's card while the world fills; afterwards it stays away."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from kangwei.kernel.jobs.models import Run
from kangwei.kernel.screens.pages import work_page
from kangwei.web.world import telling


def render(request: HttpRequest) -> SafeString | str:
    run = Run.objects.filter(kind=telling.RUN_KIND).order_by("-pk").first()
    if run is None or run.state == Run.State.DONE:
        return ""
    return render_to_string("web/world_card.html", {"run": run}, request)


@work_page()
def poll(request: HttpRequest) -> HttpResponse:
    """The card asks how far the world is; once it is told, the page loads anew."""
    inner = render(request)
    response = HttpResponse(inner)
    if not inner:
        response["HX-Refresh"] = "true"
    return response
