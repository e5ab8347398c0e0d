"""Check digits and plausibility of the numbers of institutions and people."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.organisations.rules import identifiers as rules

TODAY = date(2026, 3, 1)


def test_a_published_credit_code_is_good() -> None:
    # The worked example of GB 32100-2015 Annex: check character 0 for 91350100M000100Y4-.
    assert rules.uscc_check_digit("91350100M000100Y4") == "3"
    assert rules.problem_with_uscc("91350100M000100Y43") is None


@given(st.text(rules.USCC_ALPHABET, min_size=9, max_size=9))
def test_every_single_slip_in_a_credit_code_is_found(tail: str) -> None:
    body = "12610000" + tail
    good = body + rules.uscc_check_digit(body)
    assert rules.problem_with_uscc(good) is None
    for position in range(8, 18):
        for other in rules.USCC_ALPHABET:
            if other != good[position]:
                slipped = good[:position] + other + good[position + 1 :]
                assert rules.problem_with_uscc(slipped) is not None


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("91350100M000100Y4", "17 位"),
        ("91350100M000100O43", "不允许的字符 O"),
        ("91990100M000100Y43", "区划代码"),
        ("91350100M000100Y44", "校验位"),
    ],
)
def test_a_bad_credit_code_says_what_is_wrong(code: str, says: str) -> None:
    assert says in (rules.problem_with_uscc(code) or "")


def test_organisation_code_with_x_and_zero_as_check_character() -> None:
    # GB 11714 worked example: D2143569 has the check character X.
    assert rules.problem_with_organisation_code("D2143569X") is None
    assert "校验码" in (rules.problem_with_organisation_code("D21435690") or "")
    assert rules.organisation_check_digit("00000000") == "0"


def test_resident_number_of_the_standard() -> None:
    # GB 11643-1999 worked examples.
    assert rules.problem_with_resident_id("11010519491231002X", TODAY) is None
    assert rules.problem_with_resident_id("440524188001010014", TODAY) is not None
    assert rules.resident_check_digit("44052418800101001") == "4"


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("1101051949123100", "17 位数字"),
        ("99010519491231002X", "省级区划"),
        ("110105194902290020", "不存在"),
        ("110105202603020025", "不合理"),
        ("110105194912310021", "校验位"),
    ],
)
def test_a_bad_resident_number_says_what_is_wrong(number: str, says: str) -> None:
    assert says in (rules.problem_with_resident_id(number, TODAY) or "")


def test_29_february_exists_in_leap_years_only() -> None:
    assert rules.birthday_of("110105200002290020") == date(2000, 2, 29)
    assert rules.birthday_of("110105190002290020") is None


def test_born_on_the_day_of_judging_is_plausible() -> None:
    body = "61010120260301001"
    number = body + rules.resident_check_digit(body)
    assert rules.problem_with_resident_id(number, TODAY) is None
    assert "不合理" in (rules.problem_with_resident_id(number, date(2026, 2, 28)) or "")


def test_sex_is_in_the_seventeenth_digit() -> None:
    assert rules.sex_of("11010519491231002X") == "2"
    assert rules.sex_of("110105194912310011") == "1"


def test_medical_licence_holds_an_organisation_code() -> None:
    assert rules.problem_with_medical_licence("D2143569X61010312A1001") is None
    assert rules.problem_with_medical_licence("PDY12345661010312A1001") is None
    assert "前 9 位" in (rules.problem_with_medical_licence("D2143569161010312A1001") or "")
    assert "22 位" in (rules.problem_with_medical_licence("D2143569X") or "")
    assert "省级" in (rules.problem_with_medical_licence("D2143569X99010312A1001") or "")


@pytest.mark.parametrize("number", ["13800138000", "029-82220000", "02982220000", "82220000-801"])
def test_telephones_people_write(number: str) -> None:
    assert rules.problem_with_telephone(number) is None


@pytest.mark.parametrize("number", ["12800138000", "1380013800", "029-1", "转801"])
def test_telephones_that_cannot_be(number: str) -> None:
    assert rules.problem_with_telephone(number) is not None


def test_pasted_numbers_are_tidied() -> None:
    assert rules.tidy(" １１０105 19491231-002x ") == "11010519491231002X"


def test_identifier_kinds_use_their_own_rule() -> None:
    assert rules.problem_with_identifier("vaccination_unit", "6101030001") is None
    assert rules.problem_with_identifier("vaccination_unit", "610103") is not None
    assert rules.problem_with_identifier("insurance", "H61010300001") is None
    assert rules.problem_with_identifier("other", "anything") is None
    assert rules.problem_with_identifier("other", "") is not None
