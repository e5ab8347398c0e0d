"""Every address of the product.

An app with a `urls.py` gets its own prefix, its label: `/notices/…`. What an app wants at the root
(`/`, `/sign-in/`) stands in its `root_urlpatterns`, without a namespace.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from kangwei.kernel.api.site import build_api
from kangwei.web import reference, views


def _of_apps() -> list[Any]:
    patterns: list[Any] = []
    for config in apps.get_app_configs():
        module_name = f"{config.name}.urls"
        if not config.name.startswith("kangwei.kernel.") or find_spec(module_name) is None:
            continue
        module = import_module(module_name)
        patterns += getattr(module, "root_urlpatterns", [])
        if getattr(module, "urlpatterns", None):
            patterns.append(path(f"{config.label}/", include((module.urlpatterns, config.label))))
    return patterns


def _of_the_demonstration() -> list[Any]:
    from kangwei.web.world import card

    return [path("world/progress/", card.poll, name="world-progress")] if settings.DEMO else []


urlpatterns = [
    path("manage/", admin.site.urls),
    path("api/v1/", build_api().urls),
    path("about/", views.about, name="about"),
    path("interfaces/", reference.interfaces, name="interfaces"),
    *_of_apps(),
    *_of_the_demonstration(),
]

handler400 = "kangwei.web.errors.bad_request"
handler403 = "kangwei.web.errors.forbidden"
handler404 = "kangwei.web.errors.not_found"
handler500 = "kangwei.web.errors.server_error"
