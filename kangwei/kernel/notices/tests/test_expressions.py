"""The condition of success: what it can say, and that it can do nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.notices.rules.expressions import Answer, BadExpression, accepted, parse

OK = Answer(200, '{"Code":"OK","n":[{"c":"Ok"}],"success":true,"result":0,"rest":{"a b":1.5}}')


@pytest.mark.parametrize(
    "expression",
    [
        "status == 200",
        'status == 200 and body.Code == "OK"',
        "body.n[0].c == 'Ok'",
        "body.success == true",
        'body.result in [0, "0"]',
        'text contains "success"',
        "not (status >= 400 or body.result != 0)",
        'body["Code"] != null',
        'body.rest["a b"] > 1',
        "body.missing.deeper[3] == null",
        "body.n",
        "status != 500 and not body.n[7]",
    ],
)
def test_holds(expression: str) -> None:
    assert accepted(expression, OK)


@pytest.mark.parametrize(
    "expression",
    [
        "status == 500",
        "status == 200 and body.Code == 'FAIL'",
        "body.success == 1",  # true is not one
        "body.result == false",  # and zero is not false
        "body.Code > 3",  # different kinds are never in order
        "body.missing",
        'text contains "nothing"',
        "false or null",
    ],
)
def test_does_not_hold(expression: str) -> None:
    assert not accepted(expression, OK)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "status ==",
        "status = 200",
        "body.",
        "__import__('os').system('id')",
        "status == 200)",
        "(status == 200",
        "body[x] == 1",
        "env.HOME == 1",
        "status == 200 and",
        "lambda: 1",
        "status; 1",
        "not " * 100 + "true",
        "status == " + "1" * 600,
    ],
)
def test_what_is_no_condition_is_refused_in_chinese(expression: str) -> None:
    with pytest.raises(BadExpression) as refused:
        parse(expression)
    assert "成功条件" in str(refused.value) or "“" in str(refused.value)


def test_an_answer_that_is_no_json_is_only_text() -> None:
    answer = Answer(200, "0,OK,1234")
    assert accepted('text contains "OK"', answer)
    assert not accepted("body.code == 0", answer)


def test_brackets_bind_before_and_and_before_or() -> None:
    assert accepted("true or false and false", OK)
    assert not accepted("(true or false) and false", OK)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_a_refusal(text: str) -> None:
    try:
        node = parse(text)
    except BadExpression:
        return
    node(OK.values())
