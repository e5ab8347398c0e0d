"""An act happens once per idempotency key (幂等): the answer is kept in the act's own transaction.

    begin
      try-lock (account, key)      → taken: 409, the first request is still running
      look for the kept answer     → same content: the same answer; other content: 409
      savepoint: the act           → refused: back to the savepoint, the refusal is the answer
      keep the answer
    commit, then answer

So a kill at any instruction leaves nothing, or the act together with its answer. An unforeseen
error leaves nothing. Answers are kept 48 hours.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec

import msgspec
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.refusals import Refusal

from . import errors
from .errors import KeyReused, StillRunning
from .models import IdempotentAnswer

KEEP_ANSWERS = timedelta(hours=48)
STILL_RUNNING_RETRY = 2
P = ParamSpec("P")


def answer_act(
    request: HttpRequest, *, operation: str, act: Callable[[], tuple[int, bytes]]
) -> HttpResponse:
    """Run an act of the API once, or answer what it answered before."""
    key = request.headers.get("Idempotency-Key")
    account_id = _account_id(request)
    with transaction.atomic():
        if key is not None:
            digest = content_digest(request)
            if not _lock(account_id, key, wait=False):
                raise StillRunning(
                    "相同幂等键的请求仍在处理，请稍后用同一个键重试，将得到它的结果。",
                    field="Idempotency-Key",
                    retry_after=STILL_RUNNING_RETRY,
                )
            kept = _kept(account_id, key)
            if kept is not None:
                if kept.digest != digest or kept.operation != operation:
                    raise KeyReused(
                        "这个幂等键已用于另一个请求，请为新的请求换一个键。",
                        field="Idempotency-Key",
                    )
                return _response(kept.status, kept.body.encode(), replayed=True)
        try:
            with transaction.atomic():
                status, body = act()
        except Refusal as refusal:
            refusal.write_again()
            _journal_refusal(request, operation, refusal)
            status = refusal.status
            body = msgspec.json.encode(errors.body_of(refusal, _trace_id(request)))
        if key is not None:
            IdempotentAnswer.objects.create(
                account_id=account_id,
                key=key,
                operation=operation,
                digest=digest,
                status=status,
                body=body.decode(),
                created_at=_at(request),
            )
    return _response(status, body, replayed=False)


def once(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A page form that acts once, however often its button is pressed.

    The form carries `{% once %}`, a hidden random token. The first POST runs the view in one
    transaction and keeps where it led; a second one waits for the first and is led to the same
    page. A view that redraws its form (no redirect) has not acted, so nothing is kept.
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        token = request.POST.get("_once", "") if request.method == "POST" else ""
        if not token or not request.user.is_authenticated:
            return view(request, *args, **kwargs)
        key = f"form:{token[:100]}"
        operation = request.path[:300]
        with transaction.atomic():
            account_id = _account_id(request)
            _lock(account_id, key, wait=True)
            kept = _kept(account_id, key)
            if kept is not None:
                return HttpResponseRedirect(kept.body)
            with transaction.atomic():
                response = view(request, *args, **kwargs)
            if 300 <= response.status_code < 400:
                IdempotentAnswer.objects.create(
                    account_id=account_id,
                    key=key,
                    operation=operation,
                    digest="",
                    status=response.status_code,
                    body=response["Location"],
                    created_at=clock.now(),
                )
        return response

    return guarded


def content_digest(request: HttpRequest) -> str:
    """What makes two requests the same: address, parameters and content.

    The boundary of a form with files differs at every try, so its fields and files count, not
    its bytes.
    """
    digest = hashlib.sha256()
    digest.update(f"{request.method} {request.get_full_path()}\n".encode())
    if request.content_type == "multipart/form-data":
        for name, values in sorted(request.POST.lists()):
            for value in values:
                digest.update(f"{len(name)} {name} {len(value)} {value}\n".encode())
        for name, files in sorted(request.FILES.lists()):
            for file in files:
                digest.update(f"{len(name)} {name} {file.size} {file.name}\n".encode())
                for chunk in file.chunks():
                    digest.update(chunk)
                file.seek(0)
    else:
        digest.update(request.body)
    return digest.hexdigest()


def _lock(account_id: int, key: str, *, wait: bool) -> bool:
    """Hold (account, key) until the transaction ends; the database tells two requests apart."""
    number = int.from_bytes(
        hashlib.blake2b(f"idempotency {account_id} {key}".encode(), digest_size=8).digest(),
        "big",
        signed=True,
    )
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])


def _kept(account_id: int, key: str) -> IdempotentAnswer | None:
    return IdempotentAnswer.objects.filter(account_id=account_id, key=key).first()


def _response(status: int, body: bytes, *, replayed: bool) -> HttpResponse:
    response = HttpResponse(body, status=status, content_type="application/json")
    if replayed:
        response["Idempotent-Replayed"] = "true"
    return response


def _journal_refusal(request: HttpRequest, operation: str, refusal: Refusal) -> None:
    audit.record(
        act="api.act.refused",
        by=request.user,
        at=_at(request),
        detail={"operation": operation, "code": refusal.code, "field": refusal.field},
        result="refused",
    )


def _account_id(request: HttpRequest) -> int:
    """The caller is signed in by now; an account always has a number."""
    return int(request.user.pk or 0)


def _at(request: HttpRequest) -> Any:
    return request.at  # type: ignore[attr-defined]


def _trace_id(request: HttpRequest) -> str:
    return getattr(request, "trace_id", "")
