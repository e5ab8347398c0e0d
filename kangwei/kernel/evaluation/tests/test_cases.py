"""Cases are answered one by one; a bad one never stops the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.evaluation.rules import cases
from kangwei.kernel.refusals import Refusal


class TooOld(Refusal):
    code = "test.too_old"


def age(case: Mapping[str, Any]) -> dict[str, Any]:
    """The engine of these tests: the age in a year."""
    if case["born"] < 1900:
        raise TooOld("出生年份早于 1900 年，请核对。", field="born")
    return {"age": 2026 - case["born"], "rules": ["age-1"]}


def test_every_answer_repeats_the_id_and_stands_in_order() -> None:
    lines = [b'{"id": "b", "born": 2000}\n', b'{"id": 7, "born": 2020, "more": 1}\n']
    assert list(cases.answer_lines(age, lines)) == [
        {"id": "b", "age": 26, "rules": ["age-1"]},
        {"id": 7, "age": 6, "rules": ["age-1"]},
    ]


@pytest.mark.parametrize(
    ("line", "key", "code", "field"),
    [
        (b"{", None, cases.BAD_JSON, None),
        (b"\xff{}", None, cases.BAD_JSON, None),
        (b"[1]", None, cases.BAD_CASE, None),
        (b'"x"', None, cases.BAD_CASE, None),
        (b'{"id": 1}', 1, cases.FAILED, None),
        (b'{"id": 1, "born": 1899}', 1, "test.too_old", "born"),
        (b"[" * 100_000, None, cases.BAD_JSON, None),
    ],
)
def test_a_bad_case_is_an_error_on_its_line(
    line: bytes, key: Any, code: str, field: str | None
) -> None:
    good = b'{"id": 9, "born": 2000}'
    first, second = cases.answer_lines(age, [line, good])
    assert first["id"] == key
    assert (first["error"]["code"], first["error"]["field"]) == (code, field)
    assert any("一" <= letter <= "鿿" for letter in first["error"]["message"])
    assert second == {"id": 9, "age": 26, "rules": ["age-1"]}


def test_empty_lines_and_the_mark_of_utf8_are_passed_over() -> None:
    lines = [cases.BOM + b'{"id": 1, "born": 2000}\r\n', b"\n", b"  \n"]
    assert [answer["id"] for answer in cases.answer_lines(age, lines)] == [1]


def test_lines_are_answered_while_they_come() -> None:
    """The third line is not read before the first answer is out: any length passes through."""
    read: list[int] = []

    def lines() -> Any:
        for number in range(3):
            read.append(number)
            yield b'{"id": 1, "born": 2000}'

    answers = cases.answer_lines(age, lines())
    next(answers)
    assert read == [0]


@pytest.mark.parametrize("content", [b'[{"id":1,"born":2000}]', b'{"id":1,"born":2000}\n'])
def test_a_file_may_be_an_array_or_lines(content: bytes) -> None:
    expected = [({"id": 1, "born": 2000}, {"id": 1, "age": 26, "rules": ["age-1"]})]
    assert cases.answer_file(age, content) == expected
    assert cases.answer_file(age, cases.BOM + content) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "空的"), (b"  \n", "空的"), ("王".encode("gb18030"), "UTF-8"), (b"[{}", "JSON 数组")],
)
def test_a_file_that_is_none_says_why(content: bytes, said: str) -> None:
    with pytest.raises(cases.Unreadable, match=said):
        cases.answer_file(age, content)


def test_a_line_that_is_no_json_stands_as_its_text() -> None:
    [(shown, answer)] = cases.answer_file(age, "不是案例".encode())
    assert shown == "不是案例"
    assert answer["error"]["code"] == cases.BAD_JSON


def test_answers_with_dates_are_written_as_text() -> None:
    [line] = cases.to_jsonl([{"id": 1, "due": date(2026, 2, 28)}]).splitlines()
    assert json.loads(line) == {"id": 1, "due": "2026-02-28"}


def test_a_table_has_every_field_and_runs_no_formula() -> None:
    text = cases.to_csv(
        [
            {"id": "=1+1", "ok": True, "n": 1.5, "rules": ["a", "b"]},
            {"id": -3, "error": {"code": "x"}, "ok": None},
        ]
    )
    assert text.splitlines() == [
        "id,ok,n,rules,error",
        '\'=1+1,是,1.5,"[""a"",""b""]",',
        '-3,,,,"{""code"":""x""}"',
    ]


@given(st.lists(st.binary(max_size=30)))
def test_nothing_that_comes_in_stops_the_rest(lines: list[bytes]) -> None:
    expected = sum(
        bool(line.removeprefix(cases.BOM if not n else b"").strip()) for n, line in enumerate(lines)
    )
    assert len(list(cases.answer_lines(age, lines))) == expected
