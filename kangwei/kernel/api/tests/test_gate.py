"""Who may enter: by session with CSRF, by key within its scope, rate, addresses and life."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from kangwei.kernel import clock
from kangwei.kernel.api import services
from kangwei.kernel.api.models import ApiKey
from kangwei.kernel.api.tests import sample
from kangwei.kernel.api.tests.conftest import Caller, acts, pressed
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import Account, AccountState
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.refusals import Invalid

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 2, 12, 2, 0, tzinfo=UTC)
IN_A_MONTH = NOW + timedelta(days=30)


def refusal(response: Any, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert set(body) == {"code", "message", "field", "trace_id"}
    assert body["trace_id"] == response["X-Trace-Id"] != ""
    return body


def test_a_stranger_is_asked_to_sign_in(client: Client) -> None:
    response = client.get("/api/v1/sample/whoami")
    refusal(response, 401, "api.not_signed_in")
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_session_reads(robot: Account) -> None:
    response = make.client(robot).get("/api/v1/sample/whoami")
    assert response.json() == {"name": "robot", "by_key": False}


def test_a_session_acts_only_with_the_csrf_token(robot: Account) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(robot)
    send: dict[str, Any] = {"data": '{"floor": 3}', "content_type": "application/json"}
    refusal(browser.post("/api/v1/sample/press", **send), 403, "api.csrf")
    assert pressed() == 0
    browser.cookies[settings.CSRF_COOKIE_NAME] = token = "a" * 32
    done = browser.post("/api/v1/sample/press", headers={"X-CSRFToken": token}, **send)
    assert (done.status_code, pressed()) == (200, 1)


def test_a_key_acts_without_csrf(caller: Caller) -> None:
    assert caller.get("/whoami").json() == {"name": "robot", "by_key": True}
    assert caller.act("/press", {"floor": 3}).status_code == 200


def test_a_wrong_secret_and_an_unknown_prefix_read_alike(caller: Caller) -> None:
    good = caller.header
    messages = set()
    for header in (good[:-1] + ("A" if good[-1] != "A" else "B"), "Bearer kw_zzzzzzzz_" + "x" * 43):
        caller.header = header
        messages.add(refusal(caller.get("/whoami"), 401, "api.not_signed_in")["message"])
    assert len(messages) == 1


@pytest.mark.parametrize("header", ["Bearer", "Basic eDp5", "Bearer kw_", "kw_abc", "Bearer \x01"])
def test_a_malformed_header_is_no_key(caller: Caller, header: str) -> None:
    caller.header = header
    refusal(caller.get("/whoami"), 401, "api.not_signed_in")


def test_a_bad_key_is_not_rescued_by_a_session(robot: Account) -> None:
    response = make.client(robot).get(
        "/api/v1/sample/whoami", headers={"Authorization": "Bearer kw_zzzzzzzz_" + "x" * 43}
    )
    refusal(response, 401, "api.not_signed_in")


def test_the_secret_is_not_in_the_database(caller: Caller) -> None:
    secret = caller.header.rsplit("_", 1)[-1]
    [row] = ApiKey.objects.values()
    assert all(secret not in str(value) for value in row.values())
    assert secret not in "".join(str(entry) for entry in Entry.objects.values())


def test_a_revoked_key_an_expired_key_and_a_disabled_account_end(caller: Caller) -> None:
    ApiKey.objects.update(expires_at=clock.now())
    assert "已到期" in refusal(caller.get("/whoami"), 401, "api.not_signed_in")["message"]
    ApiKey.objects.update(expires_at=clock.now() + timedelta(days=1))
    Account.objects.filter(pk=caller.account.pk).update(state=AccountState.DISABLED)
    assert "已停用" in refusal(caller.get("/whoami"), 401, "api.not_signed_in")["message"]
    Account.objects.filter(pk=caller.account.pk).update(state=AccountState.ACTIVE)
    assert caller.get("/whoami").status_code == 200
    services.revoke_key(key=caller.key, by=caller.account, at=clock.now())
    assert "已作废" in refusal(caller.get("/whoami"), 401, "api.not_signed_in")["message"]


def test_a_key_may_do_less_than_its_account(robot: Account) -> None:
    reader = Caller(robot, scopes=[sample.VIEW])
    assert reader.get("/institutions").status_code == 200
    body = refusal(reader.act("/press", {"floor": 3}), 403, "not_permitted")
    assert sample.PRESS in body["message"]
    assert acts()[-1] == ("api.access.refused", "")
    assert Entry.objects.latest("id").result == "refused"
    assert pressed() == 0


def test_a_key_loses_what_its_account_loses(caller: Caller) -> None:
    caller.account.grants.all().delete()
    refusal(caller.get("/institutions"), 403, "not_permitted")


def test_a_key_is_bound_to_its_addresses(robot: Account) -> None:
    at_home = Caller(robot, addresses=["127.0.0.0/8"])
    assert at_home.get("/whoami").status_code == 200
    abroad = Caller(robot, addresses=["10.1.2.3", "fd00::/8"])
    assert "127.0.0.1" in refusal(abroad.get("/whoami"), 403, "api.address_not_allowed")["message"]


def test_a_key_has_its_calls_per_minute_and_gets_them_again(robot: Account, settings: Any) -> None:
    settings.KW_CLOCK = "2026-02-12T10:00:20+08:00"
    caller = Caller(robot, calls_per_minute=2)
    assert [caller.get("/whoami").status_code for _ in range(3)] == [200, 200, 429]
    response = caller.get("/whoami")
    refusal(response, 429, "api.too_many_calls")
    assert response["Retry-After"] == "40"
    settings.KW_CLOCK = "2026-02-12T10:01:00+08:00"
    assert caller.get("/whoami").status_code == 200


def test_recognising_a_key_takes_one_query_and_counting_another(
    caller: Caller, django_assert_num_queries: Callable[[int], Any]
) -> None:
    caller.get("/whoami")  # notes the first use of this minute
    with django_assert_num_queries(2):
        assert caller.get("/whoami").status_code == 200


def test_the_last_use_is_noted_to_the_minute(caller: Caller) -> None:
    caller.get("/whoami")
    first = ApiKey.objects.get().last_used_at
    caller.get("/whoami")
    assert first is not None
    assert ApiKey.objects.get().last_used_at == first


# --- acts on keys ----------------------------------------------------------------------------


def test_a_key_cannot_have_what_its_account_has_not(robot: Account) -> None:
    with pytest.raises(services.ScopeTooWide, match=r"organisations\.import_account"):
        Caller(robot, scopes=["organisations.import_account"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": " "}, "name"),
        ({"scopes": []}, "scopes"),
        ({"expires_at": NOW}, "expires_at"),
        ({"expires_at": NOW + timedelta(days=367)}, "expires_at"),
        ({"addresses": ["10.0.0"]}, "addresses"),
        ({"calls_per_minute": 0}, "calls_per_minute"),
    ],
)
def test_an_unfit_key_is_refused_by_field(
    robot: Account, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        Caller(robot, **({"at": NOW, "expires_at": IN_A_MONTH} | fields))
    assert refused.value.field == field
    assert not ApiKey.objects.exists()


def test_after_a_rotation_both_keys_work_for_the_overlap(caller: Caller) -> None:
    at = clock.now()
    fresh = services.rotate_key(
        key=caller.key, expires_at=at + timedelta(days=90), by=caller.account, at=at
    )
    assert caller.get("/whoami").status_code == 200
    old = ApiKey.objects.get(pk=caller.key.pk)
    assert old.expires_at == at + services.DEFAULT_OVERLAP
    assert fresh.key.scopes == old.scopes
    caller.header = f"Bearer {fresh.text}"
    assert caller.get("/whoami").status_code == 200
    with pytest.raises(services.KeyAlreadyRotated):
        services.rotate_key(
            key=caller.key, expires_at=at + timedelta(days=90), by=caller.account, at=at
        )


def test_a_rotation_never_lengthens_the_old_keys_life(robot: Account) -> None:
    at = clock.now()
    soon = Caller(robot, expires_at=at + timedelta(days=1))
    services.rotate_key(key=soon.key, expires_at=at + timedelta(days=90), by=robot, at=at)
    assert ApiKey.objects.get(pk=soon.key.pk).expires_at == at + timedelta(days=1)


def test_a_revoked_key_is_neither_rotated_nor_revoked_again(caller: Caller) -> None:
    at = clock.now()
    services.revoke_key(key=caller.key, by=caller.account, at=at, reason="程序下线")
    with pytest.raises(services.KeyNotUsable):
        services.revoke_key(key=caller.key, by=caller.account, at=at)
    with pytest.raises(services.KeyNotUsable):
        services.rotate_key(
            key=caller.key, expires_at=at + timedelta(days=9), by=caller.account, at=at
        )
    assert acts() == [("api.key.created", ""), ("api.key.revoked", "程序下线")]


def test_everyone_sees_his_own_keys(caller: Caller) -> None:
    assert list(ApiKey.objects.visible_to(caller.account)) == [caller.key]
    assert list(ApiKey.objects.visible_to(make.account())) == []
