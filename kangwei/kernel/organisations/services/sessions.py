"""Sessions of accounts (登录会话): opening, counting, ending."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.contrib.sessions.models import Session
from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import (
    Account,
    AccountSession,
    SecurityPolicy,
    SessionEnd,
    SignInEvent,
    SignInKind,
)


def digest_of_key(session_key: str) -> str:
    """A session key is 190 random bits, so a plain digest cannot be turned back."""
    return hashlib.sha256(session_key.encode()).hexdigest()


@transaction.atomic
def open_session(
    *,
    account: Account,
    session_key: str,
    at: datetime,
    address: str | None,
    agent: str,
    second_factor: bool,
) -> AccountSession:
    """Note a new session; the oldest ones beyond the limit are signed out and told why."""
    # The account's row is the lock: two sign-ins at once must count each other.
    Account.objects.select_for_update().get(pk=account.pk)
    limit = account.access.session_limit or SecurityPolicy.objects.get(pk=1).session_limit
    present = AccountSession.objects.open().filter(account=account).order_by("-started_at", "-pk")
    for surplus in present[max(limit - 1, 0) :]:
        _end(surplus, SessionEnd.DISPLACED, at)
    return AccountSession.objects.create(
        account=account,
        key_digest=digest_of_key(session_key),
        started_at=at,
        seen_at=at,
        address=address or None,
        agent=agent[:200],
        second_factor=second_factor,
    )


def _end(session: AccountSession, reason: SessionEnd, at: datetime) -> None:
    ended = AccountSession.objects.open().filter(pk=session.pk)
    if ended.update(ended_at=at, end_reason=reason):
        SignInEvent.objects.create(
            at=at,
            kind=SignInKind.ENDED,
            username=session.account.username,
            account=session.account,
            address=session.address,
            agent=session.agent,
            reason=reason.label,
        )


def follow_key(session: AccountSession, session_key: str) -> None:
    """Django gave the browser's session a new key; our row follows it."""
    session.key_digest = digest_of_key(session_key)
    session.save(update_fields=["key_digest"])


def note_second_factor(session: AccountSession) -> None:
    """This browser has proven the second factor."""
    session.second_factor = True
    session.save(update_fields=["second_factor"])


@transaction.atomic
def end_session(session: AccountSession, *, reason: SessionEnd, at: datetime) -> None:
    """End one session. The row stays, so that the browser can be told why."""
    _end(session, reason, at)


def end_sessions(account: Account, *, reason: SessionEnd, at: datetime, keep: str = "") -> int:
    """End every session of an account but the one with this key; answers how many."""
    sessions = AccountSession.objects.open().filter(account=account).select_related("account")
    if keep:
        sessions = sessions.exclude(key_digest=digest_of_key(keep))
    ended = list(sessions)
    for session in ended:
        _end(session, reason, at)
    return len(ended)


@transaction.atomic
def sign_out_everywhere(*, account: Account, by: Account, at: datetime, reason: str = "") -> int:
    """Force an account out of every browser at once (强制下线); its next request is refused."""
    count = end_sessions(account, reason=SessionEnd.FORCED, at=at)
    audit.record(
        act="organisations.account.signed_out",
        subject=account, by=by, at=at, reason=reason, detail={"sessions": count},
    )  # fmt: skip
    return count


@transaction.atomic
def sign_out_session(*, session: AccountSession, by: Account, at: datetime) -> None:
    """End one browser's session: by the person himself, or by an administrator."""
    own = session.account_id == by.pk
    _end(session, SessionEnd.SIGNED_OUT if own else SessionEnd.FORCED, at)
    audit.record(act="organisations.account.signed_out", subject=session.account, by=by, at=at)


def clear_stale_sessions(at: datetime) -> int:
    """Delete Django's stored sessions that are past their date; our own rows are the history."""
    count, _ = Session.objects.filter(expire_date__lt=at).delete()
    return count
