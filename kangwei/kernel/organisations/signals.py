"""Whichever door Django signs an account in through, the session gets its row (会话登记)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.services.sessions import open_session


def note_session(request: HttpRequest, user: Account, **_: Any) -> None:
    """Receiver of `user_logged_in`. Only the sign-in page vouches for a second factor."""
    open_session(
        account=user,
        session_key=request.session.session_key or "",
        at=clock.now(),
        address=request.META.get("REMOTE_ADDR"),
        agent=request.META.get("HTTP_USER_AGENT", ""),
        second_factor=getattr(request, "kw_second_factor", False),
    )
