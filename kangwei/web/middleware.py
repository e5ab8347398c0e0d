"""What every request passes: trace id and address, headers of safety, audit origin, refusals.

Order matters and is fixed in settings: the trace comes first so that even a refused host is logged
with it; the origin comes after sign-in so that the journal knows the session.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from kangwei.kernel.audit import services as audit
from kangwei.kernel.refusals import Refusal
from kangwei.kernel.screens.pages import answer_refusal
from kangwei.web.errors import bad_request

Handler = Callable[[HttpRequest], HttpResponseBase]

#: The trace id of the request being answered; log lines carry it.
current_trace: ContextVar[str] = ContextVar("kangwei_trace", default="")
_TRACE = re.compile(r"^[0-9a-zA-Z-]{8,64}$")


class TraceMiddleware:
    """Gives each request a number (跟踪编号) and the address of who really called.

    Behind a proxy of KW_TRUSTED_PROXIES the caller is the last address in X-Forwarded-For that is
    not such a proxy. From anybody else those headers are claims, and are dropped.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.proxies = [ipaddress.ip_network(text) for text in settings.KW_TRUSTED_PROXIES]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        trusted = self._is_proxy(request.META.get("REMOTE_ADDR", ""))
        given = request.META.get("HTTP_X_TRACE_ID", "") if trusted else ""
        trace = given if _TRACE.match(given) else secrets.token_hex(8)
        request.trace_id = trace  # type: ignore[attr-defined]
        self._settle_address(request, trusted)
        token = current_trace.set(trace)
        try:
            response = self.get_response(request)
        finally:
            current_trace.reset(token)
        response["X-Trace-Id"] = trace
        return response

    def _settle_address(self, request: HttpRequest, trusted: bool) -> None:
        forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        if not trusted:
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
            request.META.pop("HTTP_X_FORWARDED_HOST", None)
            return
        for part in reversed([text.strip() for text in forwarded.split(",") if text.strip()]):
            if not _is_address(part):
                return
            request.META["REMOTE_ADDR"] = part
            if not self._is_proxy(part):
                return

    def _is_proxy(self, address: str) -> bool:
        if not self.proxies or not _is_address(address):
            return False
        return any(ipaddress.ip_address(address) in network for network in self.proxies)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class SafetyHeadersMiddleware:
    """Content-Security-Policy with a nonce per answer, and the headers Django does not set.

    Why 'unsafe-eval' and style attributes stay open is written in docs/decisions (CSP).
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        nonce = secrets.token_urlsafe(16)
        request.csp_nonce = nonce  # type: ignore[attr-defined]
        response = self.get_response(request)
        if not response.has_header("Content-Security-Policy"):
            response["Content-Security-Policy"] = policy(nonce)
        response["Permissions-Policy"] = settings.KW_PERMISSIONS_POLICY
        return response


def policy(nonce: str) -> str:
    parts = settings.KW_CONTENT_SECURITY_POLICY
    return "; ".join(f"{name} {value}" for name, value in parts.items()).replace(
        "{nonce}", f"'nonce-{nonce}'"
    )


class ZeroCharacterMiddleware:
    """A zero character (空字符) is in no text a person writes, and PostgreSQL cannot store it: said
    here once, so that no page has to think of it. The API says so itself, in its own form."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *args: object) -> HttpResponse | None:
        if request.path.startswith("/api/"):
            return None
        given = [*request.GET.lists(), *request.POST.lists(), ("path", [request.path])]
        found = any("\x00" in text for name, values in given for text in (name, *map(str, values)))
        return bad_request(request) if found else None


class OriginMiddleware:
    """Tells the journal from where the acts of this request come; catches foreseen refusals."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        session = getattr(request, "session", None)
        with audit.origin(
            channel="api" if request.path.startswith("/api/") else "web",
            address=request.META.get("REMOTE_ADDR", ""),
            session=(session.session_key or "") if session is not None else "",
            trace_id=getattr(request, "trace_id", ""),
            agent=request.headers.get("User-Agent", "")[:200],
        ):
            return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        # The API frame answers its own refusals; this is for pages that are not `work_page`.
        if isinstance(error, Refusal) and not request.path.startswith("/api/"):
            return answer_refusal(request, error)
        return None
