"""Signatures: the published values, and recipes as data."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from kangwei.kernel.notices.rules.signing import (
    Step,
    dingtalk_query,
    dingtalk_signature,
    feishu_signature,
)


def test_dingtalk_signs_the_published_value() -> None:
    signature = dingtalk_signature("SEC-kangwei-demo", 1767225600000)
    assert signature == "Y3mvjgIZdyiG5LMaS6AczPQmTPOZFnUjcl7/yPDhmrM="


def test_dingtalk_address_is_encoded_exactly_once() -> None:
    query = dingtalk_query("SEC-kangwei-demo", 1767225600000)
    assert query == (
        "timestamp=1767225600000&sign=Y3mvjgIZdyiG5LMaS6AczPQmTPOZFnUjcl7%2FyPDhmrM%3D"
    )


def test_feishu_signs_nothing_with_stamp_and_secret_as_key() -> None:
    # echo -n "" | openssl dgst -sha256 -hmac $'1700000000\ndemo' -binary | base64
    assert feishu_signature("demo", 1700000000) == _feishu_by_hand()


def _feishu_by_hand() -> str:
    """HMAC written out from its definition: two nested digests over padded keys."""
    import base64

    key = b"1700000000\ndemo".ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key)).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).digest()
    return base64.b64encode(outer).decode()


@pytest.mark.parametrize(
    ("algorithm", "text", "expected"),
    [
        ("md5", "abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        # GB/T 32905-2016, example 1
        ("sm3", "abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    ],
)
def test_digests_give_the_values_of_their_standards(
    algorithm: str, text: str, expected: str
) -> None:
    assert Step("sign", algorithm, text).result({}) == expected  # type: ignore[arg-type]


def test_a_step_uses_the_result_of_an_earlier_one_as_a_binary_key() -> None:
    first = Step("date_key", "hmac-sha256", "{{ date }}", key="TC3{{ secret }}")
    values = {"date": "2026-11-20", "secret": "s"}
    values["date_key"] = first.result(values)
    second = Step("signature", "hmac-sha256", "sms", key="hex:{{ date_key }}")
    key = hmac.digest(b"TC3s", b"2026-11-20", "sha256")
    assert second.result(values) == hmac.digest(key, b"sms", "sha256").hex()


def test_base64_and_sm3_keyed_differ_from_sha256() -> None:
    sm3 = Step("s", "hmac-sm3", "abc", key="key", encoding="base64").result({})
    sha = Step("s", "hmac-sha256", "abc", key="key", encoding="base64").result({})
    assert len(sm3) == len(sha) == 44
    assert sm3 != sha
