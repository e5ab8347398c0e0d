"""A sample API, and two ways to call it: by session and by key."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from kangwei.kernel import clock
from kangwei.kernel.api import services
from kangwei.kernel.api.models import ApiKey
from kangwei.kernel.audit import services as audit
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make

from . import sample

audit.register_acts({sample.PRESSED: "按下测试按钮"})


@pytest.fixture(autouse=True)
def sample_site(settings: Any) -> None:
    settings.ROOT_URLCONF = "kangwei.kernel.api.tests.sample"


@pytest.fixture
def robot(db: None) -> Account:
    # The journal is never emptied, not even between tests that commit.
    newest = Entry.objects.order_by("-id").first()
    _before["test"] = newest.pk if newest else 0
    return make.account("robot", right=[sample.VIEW, sample.PRESS])


class Caller:
    """A program with a key."""

    def __init__(self, account: Account, **fields: Any) -> None:
        self.account = account
        at = clock.now()
        given: dict[str, Any] = {
            "account": account,
            "name": "测试程序",
            "scopes": [sample.VIEW, sample.PRESS],
            "expires_at": at + timedelta(days=30),
            "by": account,
            "at": at,
        }
        fresh = services.create_key(**(given | fields))
        self.key: ApiKey = fresh.key
        self.header = f"Bearer {fresh.text}"
        self.client = Client(raise_request_exception=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(
            f"/api/v1/sample{path}", headers={"Authorization": self.header, **headers}
        )

    def act(self, path: str, content: Any = None, *, key: str | None = "", **more: Any) -> Any:
        """POST as JSON with a fresh idempotency key, a given one, or none (None)."""
        headers = {"Authorization": self.header, **more.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        return self.client.post(
            f"/api/v1/sample{path}",
            data=content if isinstance(content, bytes) else json.dumps(content),
            content_type=more.pop("content_type", "application/json"),
            headers=headers,
            **more,
        )


@pytest.fixture
def caller(robot: Account) -> Caller:
    return Caller(robot)


_before: dict[str, int] = {}


def acts() -> list[tuple[str, str]]:
    """Acts and reasons journalled in this test."""
    found = Entry.objects.filter(kind="act", id__gt=_before["test"]).order_by("id")
    return list(found.values_list("act", "reason"))


def pressed() -> int:
    """How often the button was really pressed in this test, by the journal."""
    return Entry.objects.filter(act=sample.PRESSED, id__gt=_before["test"]).count()
