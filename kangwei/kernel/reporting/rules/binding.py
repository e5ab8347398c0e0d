"""Reading what a reader asked for (查询条件) against what a report declares.

Nothing is guessed and nothing is ignored: a name the report does not know is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from kangwei.kernel.refusals import Refusal

from .declarations import (
    ChoiceParameter,
    InstitutionParameter,
    NumberParameter,
    Parameter,
    PeriodParameter,
    RegionParameter,
    Report,
    TextParameter,
)
from .periods import KIND_TITLES, parse


class UnknownParameter(Refusal):
    """A name that the report does not declare."""

    code = "reporting.unknown_parameter"
    title = "未知的报表条件"
    status = 422


class WrongParameter(Refusal):
    """A value that the parameter cannot take."""

    code = "reporting.wrong_parameter"
    title = "报表条件有误"
    status = 422


def bind(report: Report, raw: Mapping[str, str], *, today: date) -> dict[str, Any]:
    """Every declared parameter with its value: a Period, id, choice, number, text or None."""
    for name in raw:
        if report.parameter(name) is None:
            known = "、".join(f"{one.title}（{one.key}）" for one in report.parameters) or "无"
            raise UnknownParameter(
                f"报表“{report.title}”没有名为“{name[:40]}”的条件；可用条件：{known}。请去掉后重试。",
                field=name[:40],
            )
    return {
        one.key: read(one, (raw.get(one.key) or "").strip(), today=today)
        for one in report.parameters
    }


def read(parameter: Parameter, text: str, *, today: date) -> Any:
    """One value; an empty text takes the default, and is refused where a value is required."""

    def wrong(why: str) -> WrongParameter:
        return WrongParameter(f"“{parameter.title}”{why}", field=parameter.key)

    if not text:
        text = default_text(parameter)
    if not text:
        if parameter.required:
            raise wrong("必须填写，请选择后重新查询。")
        return None
    match parameter:
        case PeriodParameter():
            period = parse(text, kinds=parameter.kinds, today=today)
            if period is None:
                kinds = "、".join(KIND_TITLES[kind] for kind in parameter.kinds)
                raise wrong(
                    f"无法识别“{text[:40]}”，可选：{kinds}；"
                    "写法如 2026-10、2026-Q3、2026-H1、2026-01-01..2026-03-31。"
                )
            return period
        case RegionParameter():
            if not (text.isdigit() and len(text) == 12):
                raise wrong(f"应是 12 位区划代码，现在是“{text[:40]}”。")
        case InstitutionParameter() | NumberParameter():
            if not text.lstrip("-").isdigit() or len(text) > 12:
                raise wrong(f"应是整数，现在是“{text[:40]}”。")
            number = int(text)
            if isinstance(parameter, NumberParameter):
                low, high = parameter.low, parameter.high
                if (low is not None and number < low) or (high is not None and number > high):
                    raise wrong(f"应在 {_bound(low)} 到 {_bound(high)} 之间，现在是 {number}。")
            return number
        case ChoiceParameter():
            options = dict(parameter.options())
            if text not in options:
                raise wrong(f"没有“{text[:40]}”这一项，可选：{'、'.join(options.values())}。")
            return text
        case TextParameter() if len(text) > parameter.max_length:
            raise wrong(f"最多 {parameter.max_length} 个字，现在有 {len(text)} 个。")
    return text


def default_text(parameter: Parameter) -> str:
    match parameter:
        case PeriodParameter() | ChoiceParameter() | TextParameter():
            return parameter.default
        case NumberParameter() if parameter.default is not None:
            return str(parameter.default)
    return ""


def _bound(value: int | None) -> str:
    return "不限" if value is None else str(value)
