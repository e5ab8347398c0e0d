"""One-time codes against the vectors of RFC 4226 and RFC 6238, and against replay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kangwei.kernel.organisations.rules.totp import (
    accepted_step,
    code_at,
    code_at_counter,
    provisioning_uri,
    step_of,
)

SECRET = b"12345678901234567890"
SECRETS = {"sha1": SECRET, "sha256": (SECRET * 2)[:32], "sha512": (SECRET * 4)[:64]}
RFC_4226 = (
    *("755224", "287082", "359152", "969429", "338314"),
    *("254676", "287922", "162583", "399871", "520489"),
)
AT = datetime(2026, 3, 1, 8, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("counter", "code"),
    list(enumerate(RFC_4226)),
)
def test_vectors_of_rfc_4226(counter: int, code: str) -> None:
    assert code_at_counter(SECRET, counter) == code


@pytest.mark.parametrize(
    ("seconds", "algorithm", "code"),
    [
        (59, "sha1", "94287082"),
        (59, "sha256", "46119246"),
        (59, "sha512", "90693936"),
        (1111111109, "sha1", "07081804"),
        (1111111111, "sha256", "67062674"),
        (1234567890, "sha512", "93441116"),
        (2000000000, "sha1", "69279037"),
        (20000000000, "sha256", "77737706"),
    ],
)
def test_vectors_of_rfc_6238(seconds: int, algorithm: str, code: str) -> None:
    counter = seconds // 30
    assert code_at_counter(SECRETS[algorithm], counter, digits=8, algorithm=algorithm) == code


def test_the_code_of_now_is_accepted_once() -> None:
    step = accepted_step(SECRET, code_at(SECRET, AT), AT, last_step=0)
    assert step == step_of(AT)
    assert accepted_step(SECRET, code_at(SECRET, AT), AT, last_step=step) is None


@pytest.mark.parametrize(("late", "accepted"), [(-30, True), (30, True), (-60, False), (60, False)])
def test_one_step_early_or_late_is_accepted(late: int, accepted: bool) -> None:
    code = code_at(SECRET, AT + timedelta(seconds=late))
    assert (accepted_step(SECRET, code, AT, last_step=0) is not None) is accepted


def test_an_older_code_after_a_newer_one_is_a_replay() -> None:
    before = code_at(SECRET, AT - timedelta(seconds=30))
    assert accepted_step(SECRET, before, AT, last_step=step_of(AT)) is None


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "１２３４５６", "0000000"])
def test_what_is_not_six_digits_is_refused(code: str) -> None:
    assert accepted_step(SECRET, code, AT, last_step=0) is None


def test_the_address_in_the_picture_escapes_chinese() -> None:
    uri = provisioning_uri(SECRET, account="wangxy", issuer="康维")
    assert uri.startswith("otpauth://totp/%E5%BA%B7%E7%BB%B4:wangxy?secret=GEZDGNBVGY3TQOJQ")
    assert "digits=6" in uri
