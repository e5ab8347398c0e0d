"""What a password may be."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.organisations.rules.passwords import (
    keyboard_run,
    one_time_password,
    problems_with_password,
)

COMMON = frozenset({"password", "admin", "yiyuan"})


def judge(password: str, names: tuple[str, ...] = ("wangxy",)) -> str:
    return "；".join(problems_with_password(password, min_length=8, names=names, common=COMMON))


def test_a_good_password_has_no_problem() -> None:
    assert judge("Mei-gui8hua") == ""


def test_exactly_the_shortest_length_is_enough() -> None:
    assert judge("Mg8-hua5") == ""
    assert "至少 8 位，现为 7 位" in judge("Mg8-hua")


@pytest.mark.parametrize("password", ["meiguihua8", "MEIGUIHUA8", "MeiguiHua", "meigui-hua"])
def test_two_kinds_of_characters_are_too_few(password: str) -> None:
    assert "三类" in judge(password)


@pytest.mark.parametrize("password", ["Wangxy-8x", "8YXGNAW-a"])
def test_the_user_name_either_way_round_is_refused(password: str) -> None:
    assert "用户名" in judge(password)


def test_a_name_of_two_letters_does_not_forbid_every_word_with_them() -> None:
    assert judge("Mei-gui8hua", names=("me",)) == ""


@pytest.mark.parametrize(
    ("password", "run"),
    [("Qwer-8xkt", "qwer"), ("8xKt-4321", "4321"), ("aBCd-8xkt", "abcd"), ("1qaZ-8xkt", "1qaz")],
)
def test_keyboard_and_alphabet_runs_are_named(password: str, run: str) -> None:
    assert run in judge(password)


def test_three_neighbours_are_not_yet_a_run() -> None:
    assert keyboard_run("qwe-xkt8") is None


@pytest.mark.parametrize("password", ["P@ssw0rd!", "Admin@2026", "Yiyuan#2026"])
def test_dressed_up_common_words_are_refused(password: str) -> None:
    assert "常见密码" in judge(password)


def test_the_same_character_four_times_is_refused() -> None:
    assert "aaaa" in judge("Xk-8aaaa")
    assert judge("Xk-8aaaBt") == ""


@given(st.integers(min_value=0, max_value=10_000))
def test_one_time_passwords_have_four_kinds_and_the_length(seed: int) -> None:
    password = one_time_password(random.Random(seed).choice, 10)
    assert len(password) == 12
    assert not any("类" in problem for problem in problems_with_password(password, min_length=12))
