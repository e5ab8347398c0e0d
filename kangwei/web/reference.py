"""The reference of interfaces (接口说明) as a page: what programs may call, for people to read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from kangwei.kernel.api import errors, openapi, reference
from kangwei.kernel.screens.pages import page, work_page


@work_page()
@require_safe
def interfaces(request: HttpRequest) -> HttpResponse:
    document = openapi.document()
    context = {
        "introduction": reference.introduction(document["info"]["description"]),
        "tags": reference.tags(document),
        "codes": errors.codes(),
    }
    return page(request, "api/reference.html", context, title="接口说明")
