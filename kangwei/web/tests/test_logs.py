"""No secret reaches a log line, in whatever notation it slips in."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.web.logs import JsonFormatter, PlainFormatter, SecretFilter, hide_in, hide_secrets

SECRET = "Zq8-Hidden-7w"


def line(form: logging.Formatter, message: str, *args: object, **extra: object) -> str:
    record = logging.makeLogRecord(
        {
            "name": "kangwei.test",
            "levelname": "INFO",
            "levelno": 20,
            "msg": message,
            "args": args,
            **extra,
        }
    )
    assert SecretFilter().filter(record)
    return form.format(record)


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"new_password: {SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"{{'api_key': '{SECRET}'}}",
        f"Authorization: Bearer {SECRET}{SECRET}",
        f"Authorization: {SECRET}",
        f"X-API-Key: {SECRET}",
        f"Cookie: kw_session={SECRET}; kw_csrf=x",
        f"?access_token={SECRET}&page=2",
        f"postgresql://kangwei:{SECRET}@10.1.2.3/kangwei",
        f"secret={SECRET}, timeout=3",
        f"口令：{SECRET}",
        f"Basic {SECRET}{SECRET}",
    ],
)
def test_a_secret_is_starred(text: str) -> None:
    assert SECRET not in hide_secrets(text)
    assert SECRET not in line(PlainFormatter(), text)
    assert SECRET not in line(JsonFormatter(), text)


def test_what_is_no_secret_stays() -> None:
    text = "notices.delivery.sent channel=sms attempts=3 url=http://10.1.2.3/a?page=2"
    assert hide_secrets(text) == text


def test_secrets_in_arguments_and_extra_fields_are_starred() -> None:
    assert SECRET not in line(PlainFormatter(), "call %s", {"password": SECRET})
    assert SECRET not in line(PlainFormatter(), "call %s", f"token={SECRET}")
    found = json.loads(line(JsonFormatter(), "call", payload={"user": "a", "token": SECRET}))
    assert found["payload"] == {"user": "a", "token": "***"}
    assert SECRET not in line(JsonFormatter(), "call", api_key=SECRET)


def test_secrets_in_a_trace_are_starred() -> None:
    try:
        raise ValueError(f"refused password={SECRET}")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    text = line(JsonFormatter(), "failed", exc_info=info)
    assert SECRET not in text
    assert "ValueError" in text


def test_a_json_line_is_one_object_with_moment_level_and_trace() -> None:
    text = line(JsonFormatter(), "desk.ticket.answered", trace_id="abc", ticket=7)
    assert "\n" not in text
    found = json.loads(text)
    assert found["message"] == "desk.ticket.answered"
    assert found["trace_id"] == "abc"
    assert found["ticket"] == 7
    assert found["at"].endswith("+08:00")


def test_a_wrong_format_string_is_logged_and_does_not_fail() -> None:
    assert "%d rows" in line(PlainFormatter(), "%d rows", "many")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_hiding_never_fails_whatever_is_handed_over(value: object) -> None:
    hide_in(value)


@given(st.text(alphabet=st.characters(categories=("L", "N")), min_size=8, max_size=30))
def test_any_value_after_a_secrets_name_is_gone(value: str) -> None:
    assert value not in hide_secrets(f"password={value}".replace(value, value)).removeprefix(
        "password="
    )
