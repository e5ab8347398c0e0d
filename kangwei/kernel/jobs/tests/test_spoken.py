"""How a cron line is said."""

from __future__ import annotations

import pytest

from kangwei.kernel.jobs.rules.spoken import spoken


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "每分钟"),
        ("*/10 * * * *", "每 10 分钟"),
        ("40 * * * *", "每小时第 40 分"),
        ("5 */6 * * *", "每 6 小时（第 5 分）"),
        ("30 2 * * *", "每天 02:30"),
        ("0 9 * * 1", "每周一 09:00"),
        ("0 9 * * 0", "每周日 09:00"),
        ("0 3 1 * *", "每月 1 日 03:00"),
        ("0 8 1 11 *", "每年 11 月 1 日 08:00"),
    ],
)
def test_usual_lines_are_said_as_people_say_them(cron: str, words: str) -> None:
    assert spoken(cron) == words


@pytest.mark.parametrize("cron", ["7,9 */5 1-3 * *", "0 3 1 * 1", "0 9 * * 9", "0 9 * * 1-5", "x"])
def test_lines_nobody_says_stay_as_they_are(cron: str) -> None:
    assert spoken(cron) == cron
