"""Addresses of the API frame at the root of the site; ninja's own stand beside them."""

from __future__ import annotations

from django.urls import path

from . import openapi, probes

root_urlpatterns = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    path("api/v1/openapi.json", openapi.openapi_json, name="openapi"),
    path("api/v1/codes", openapi.codes_json, name="codes"),
]
