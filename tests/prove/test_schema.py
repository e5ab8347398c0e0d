"""Whatever a program sends, the API answers as its description says, and never with a 5xx.

Schemathesis draws requests from the OpenAPI document, valid and broken ones, for every operation.
The caller may do everything everywhere, so that a request fails for its content only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from django.core import signals
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kangwei.kernel.api import services as api
from kangwei.kernel.api.openapi import document
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.builtin import all_rights
from kangwei.kernel.organisations.models import Account, Institution, Role
from kangwei.web.wsgi import application

#: make test draws a few requests for each operation; make prove draws many.
EXAMPLES = int(os.environ.get("KW_PROVE_EXAMPLES") or (100 if os.environ.get("KW_PROVE") else 3))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.app = application


@pytest.fixture(scope="module")
def key(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The text of a key that may do everything, in a site with one institution.

    All requests of this file run in one transaction that is undone at the end, so none of them
    may drop its connection.
    """
    moments = (signals.request_started, signals.request_finished)
    with django_db_blocker.unblock(), transaction.atomic():
        for moment in moments:
            moment.disconnect(close_old_connections)
        yield open_site()
        for moment in moments:
            moment.connect(close_old_connections)
        transaction.set_rollback(True)


def open_site() -> str:
    at = datetime.now(UTC)
    services.set_up(
        username="prove",
        password="Ganlu#7731-Shuang",
        institution_name="试验省卫生健康委员会",
        region=("61", "陕西省"),
        at=at,
    )
    everything = Role.objects.create(
        code="prove_everything",
        name="试验",
        rights=sorted(all_rights()),
        scope_kind="everything",
        masking_level=2,
        order=99,
    )
    opened = services.create_account(
        username="caller",
        name="接口调用方",
        institution=Institution.objects.get(),
        by=None,
        at=at,
    )
    services.grant_role(account=opened.account, role=everything, by=None, at=at, reason="试验")
    caller = Account.objects.get(pk=opened.account.pk)
    fresh = api.create_key(
        account=caller,
        name="试验",
        scopes=[right for right in all_rights() if caller.has_perm(right)],
        expires_at=at + timedelta(days=7),
        by=caller,
        at=at,
        calls_per_minute=60_000,
    )
    return fresh.text


@pytest.mark.prove
@pytest.mark.django_db
@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=not os.environ.get("KW_PROVE"),
)
def test_every_answer_is_as_described(case: schemathesis.Case[Any], key: str) -> None:
    with transaction.atomic():  # what one request did, the next does not see
        response = case.call(headers={"Authorization": f"Bearer {key}"})
        transaction.set_rollback(True)
    case.validate_response(response, checks=CHECKS)
