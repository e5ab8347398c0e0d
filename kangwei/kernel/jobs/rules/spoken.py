"""A cron line as a person says it (周期说法): `30 2 * * *` is 每天 02:30.

Lines nobody would say aloud, such as `7,9 */5 1-3 * *`, stay as they are: a reader who can write
them can read them.
"""

from __future__ import annotations

WEEKDAYS = "日一二三四五六日"


def spoken(cron: str) -> str:
    parts = cron.split()
    if len(parts) != 5:
        return cron
    minute, hour, day, month, weekday = parts
    if (day, month, weekday) == ("*", "*", "*"):
        return _within_a_day(minute, hour) or cron
    clock_time = _clock(minute, hour)
    if not clock_time:
        return cron
    match day.isdigit(), month.isdigit(), weekday.isdigit():
        case False, False, True if (day, month) == ("*", "*") and int(weekday) < 8:
            return f"每周{WEEKDAYS[int(weekday)]} {clock_time}"
        case True, False, False if (month, weekday) == ("*", "*"):
            return f"每月 {int(day)} 日 {clock_time}"
        case True, True, False if weekday == "*":
            return f"每年 {int(month)} 月 {int(day)} 日 {clock_time}"
    return cron


def _within_a_day(minute: str, hour: str) -> str:
    if (minute, hour) == ("*", "*"):
        return "每分钟"
    if hour == "*" and minute.isdigit():
        return f"每小时第 {int(minute)} 分"
    if hour == "*" and minute.startswith("*/") and minute[2:].isdigit():
        return f"每 {int(minute[2:])} 分钟"
    if minute.isdigit() and hour.startswith("*/") and hour[2:].isdigit():
        return f"每 {int(hour[2:])} 小时（第 {int(minute)} 分）"
    clock_time = _clock(minute, hour)
    return f"每天 {clock_time}" if clock_time else ""


def _clock(minute: str, hour: str) -> str:
    return f"{int(hour):02}:{int(minute):02}" if minute.isdigit() and hour.isdigit() else ""
