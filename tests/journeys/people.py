"""What journeys share: entering as somebody without typing the password each time."""

from __future__ import annotations

from playwright.sync_api import Page

from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make


def signed_in(page: Page, site: str, account: Account) -> None:
    """The browser is already signed in as this account; the first sign-in has its own journey."""
    page.context.clear_cookies()
    session = make.client(account).cookies
    page.context.add_cookies(
        [{"name": name, "value": morsel.value, "url": site} for name, morsel in session.items()]
    )
