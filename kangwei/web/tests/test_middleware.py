"""Trace ids, the caller's real address, and the headers of safety on every answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings

from kangwei.kernel.audit.services import current_origin
from kangwei.web.middleware import OriginMiddleware, TraceMiddleware


def through(request: HttpRequest) -> dict[str, Any]:
    """What the view behind the trace middleware sees."""
    seen: dict[str, Any] = {}

    def view(inner: HttpRequest) -> HttpResponse:
        seen["address"] = inner.META.get("REMOTE_ADDR")
        seen["secure"] = inner.META.get("HTTP_X_FORWARDED_PROTO")
        seen["trace"] = inner.trace_id  # type: ignore[attr-defined]
        return HttpResponse()

    seen["answer"] = TraceMiddleware(view)(request)
    return seen


def call(remote: str, **headers: Any) -> dict[str, Any]:
    return through(RequestFactory().get("/", REMOTE_ADDR=remote, **headers))


def test_a_strangers_forwarded_headers_are_dropped() -> None:
    seen = call("203.0.113.9", HTTP_X_FORWARDED_FOR="10.0.0.1", HTTP_X_FORWARDED_PROTO="https")
    assert seen["address"] == "203.0.113.9"
    assert seen["secure"] is None


@override_settings(KW_TRUSTED_PROXIES=["10.1.2.0/24"])
def test_behind_our_proxies_the_caller_is_the_last_address_that_is_no_proxy() -> None:
    forwarded = "6.6.6.6, 203.0.113.9, 10.1.2.7"
    seen = call("10.1.2.3", HTTP_X_FORWARDED_FOR=forwarded, HTTP_X_FORWARDED_PROTO="https")
    assert seen["address"] == "203.0.113.9"
    assert seen["secure"] == "https"


@override_settings(KW_TRUSTED_PROXIES=["10.1.2.0/24"])
def test_an_address_that_is_none_ends_the_search() -> None:
    assert call("10.1.2.3", HTTP_X_FORWARDED_FOR="203.0.113.9, <script>")["address"] == "10.1.2.3"
    assert call("10.1.2.3")["address"] == "10.1.2.3"
    assert call("203.0.113.9", HTTP_X_FORWARDED_FOR="1.1.1.1")["address"] == "203.0.113.9"


@override_settings(KW_TRUSTED_PROXIES=["10.1.2.3"])
def test_a_trace_id_is_taken_from_a_proxy_only_and_only_if_it_is_one() -> None:
    assert call("10.1.2.3", HTTP_X_TRACE_ID="abcdef12")["trace"] == "abcdef12"
    assert call("203.0.113.9", HTTP_X_TRACE_ID="abcdef12")["trace"] != "abcdef12"
    assert call("10.1.2.3", HTTP_X_TRACE_ID="a\nb" * 9)["trace"] != "a\nb" * 9
    seen = call("203.0.113.9")
    assert seen["answer"]["X-Trace-Id"] == seen["trace"]


def test_the_journal_knows_channel_and_address_of_a_request() -> None:
    seen = {}

    def view(request: HttpRequest) -> HttpResponse:
        seen[request.path] = current_origin()
        return HttpResponse()

    for path in ("/manage/", "/api/v1/x"):
        request = RequestFactory().get(path, REMOTE_ADDR="10.9.9.9", HTTP_USER_AGENT="Firefox")
        OriginMiddleware(view)(request)
    assert seen["/manage/"].channel == "web"
    assert seen["/api/v1/x"].channel == "api"
    assert seen["/manage/"].address == "10.9.9.9"
    assert seen["/manage/"].agent == "Firefox"
    assert current_origin().address == ""


@pytest.mark.django_db
def test_every_answer_carries_the_headers_of_safety_and_its_own_nonce() -> None:
    first, second = Client().get("/sign-in/"), Client().get("/nowhere/")
    for answer in (first, second):
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "SAMEORIGIN"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in answer["Permissions-Policy"]
        assert len(answer["X-Trace-Id"]) == 16
    assert first["Content-Security-Policy"] != second["Content-Security-Policy"]


@pytest.mark.django_db
def test_a_foreign_host_is_refused_with_our_page() -> None:
    answer = Client().get("/sign-in/", HTTP_HOST="evil.example.org")
    assert answer.status_code == 400
    assert "请求无法理解" in answer.content.decode()
