"""Sealing, opening, digesting and signing with stored keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kangwei.kernel.crypto import keys, services
from kangwei.kernel.crypto.keys import KeyExhausted, KeyMissing, make_key, ring
from kangwei.kernel.crypto.models import Key
from kangwei.kernel.crypto.services import Signature, Unreadable

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def sealed(text: str = "13812345678") -> str:
    return services.encrypt(text, table="staff", column="phone")


def test_a_sealed_text_opens_in_its_place_only() -> None:
    stored = sealed()
    assert services.decrypt(stored, table="staff", column="phone") == "13812345678"
    for table, column in (("staff", "fax"), ("guardian", "phone")):
        with pytest.raises(Unreadable):
            services.decrypt(stored, table=table, column=column)


def test_the_same_text_never_looks_the_same() -> None:
    assert sealed() != sealed()


def test_the_stored_form_names_version_cipher_and_key(settings: Any) -> None:
    form, algorithm, kid, body = sealed().split(":")
    assert (form, algorithm) == ("kw1", "sm4")
    assert Key.objects.get(pk=kid).state == "active"
    assert len(base64.b64decode(body)) == 12 + 11 + 16


def test_the_other_cipher_is_a_setting_and_old_values_stay_readable(settings: Any) -> None:
    old = sealed("甲")
    settings.CIPHER = "aes"
    make_key("field", NOON)
    new = sealed("乙")
    assert new.split(":")[1] == "aes"
    assert services.decrypt(old, table="staff", column="phone") == "甲"
    assert services.decrypt(new, table="staff", column="phone") == "乙"


@pytest.mark.parametrize("broken", ["", "plain", "kw1:sm4", "kw2:sm4:f1:AAAA", "kw1:sm4:{kid}:???"])
def test_what_is_not_ours_is_refused_by_name(broken: str) -> None:
    kid = Key.objects.get(purpose="field", state="active").kid
    with pytest.raises(Unreadable):
        services.decrypt(broken.format(kid=kid), table="staff", column="phone")


def test_a_relabelled_ciphertext_does_not_open() -> None:
    first = sealed()
    second = make_key("field", NOON)
    parts = first.split(":")
    parts[2] = second.kid
    with pytest.raises(Unreadable):
        services.decrypt(":".join(parts), table="staff", column="phone")


def test_a_key_that_is_gone_is_named() -> None:
    parts = sealed().split(":")
    parts[2] = "f000"
    with pytest.raises(KeyMissing, match="f000"):
        services.decrypt(":".join(parts), table="staff", column="phone")


def test_keys_are_stored_wrapped_and_bound_to_their_name() -> None:
    first = Key.objects.get(purpose="field", state="active")
    secret = ring.active("field").secret
    assert secret.hex() not in first.wrapped
    assert base64.b64encode(secret).decode() not in first.wrapped
    other = make_key("field", NOON)
    Key.objects.filter(pk=other.pk).update(wrapped=first.wrapped)
    ring.forget()
    with pytest.raises(KeyMissing, match="主密钥"):
        ring.active("field")


def test_the_wrong_master_key_opens_nothing(settings: Any) -> None:
    settings.SECRETS = SimpleNamespace(master=b"another key of thirty-two bytes!")
    ring.forget()
    with pytest.raises(KeyMissing, match="恢复与数据库配套的密钥文件"):
        sealed()


def test_secrets_do_not_show_in_repr() -> None:
    key = ring.active("field")
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)


def test_one_active_key_per_purpose() -> None:
    key = Key.objects.get(purpose="field", state="active")
    with pytest.raises(IntegrityError), transaction.atomic():
        Key.objects.create(
            kid="second", purpose="field", algorithm="sm4", wrapped="x", created_at=NOON
        )
    make_key("field", NOON)
    key.refresh_from_db()
    assert (key.state, key.retired_at) == ("retired", NOON)


def test_missing_keys_are_made_once() -> None:
    before = set(Key.objects.values_list("kid", flat=True))
    keys.ensure_keys(NOON)
    assert set(Key.objects.values_list("kid", flat=True)) == before


def test_a_used_up_key_seals_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LIMIT", 0)
    with pytest.raises(KeyExhausted, match="rotate_keys"):
        sealed()


def test_uses_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from kangwei.kernel.crypto.rotation import key_uses

    before = key_uses()[0].uses
    for _ in range(3):
        sealed()
    assert key_uses()[0].uses == before + keys.BLOCK


def test_digests_are_keyed_and_kept_apart_by_purpose() -> None:
    assert services.digest("138", purpose="phone") == services.digest("138", purpose="phone")
    assert services.digest("138", purpose="phone") != services.digest("138", purpose="fax")
    assert services.digest("138", purpose="phone") != services.sm3(b"138")
    assert len(services.digest("138", purpose="phone")) == 64


def test_a_signature_names_algorithm_and_key_and_survives_rotation() -> None:
    signature = services.sign("月报".encode())
    make_key("signing", NOON)
    assert signature.algorithm == "SM2"
    assert services.verify("月报".encode(), signature)
    assert not services.verify("年报".encode(), signature)
    for changed in (
        Signature("RSA", signature.kid, signature.value),
        Signature("SM2", "s000", signature.value),
        Signature("SM2", ring.active("field").kid, signature.value),
        Signature("SM2", signature.kid, "not hex"),
    ):
        assert not services.verify("月报".encode(), changed)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(st.text())
def test_any_text_comes_back_as_it_went(text: str) -> None:
    stored = services.encrypt(text, table="t", column="c")
    assert services.decrypt(stored, table="t", column="c") == text
