"""Charts (图) as ECharts options: plain JSON, built once, drawn in the browser, in Word and in PDF.

The palette keeps 3:1 contrast on white and on the dark ground, and its neighbours stay apart for
red-green blind readers. Options carry no function, so that they can be stored with a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from .declarations import Column
from .results import Result
from .values import Value, round_half_up, show

PALETTE = ("#2f6fdb", "#d9822b", "#2a9d8f", "#8e5bd0", "#c2456b", "#6b7f1f", "#3f88a8", "#a0622d")


def plot(value: Value, column: Column) -> Any:
    """A value as a chart wants it: a short number; durations in hours."""
    if isinstance(value, timedelta):
        return round(value / timedelta(hours=1), 2)
    if isinstance(value, Decimal):
        return float(round_half_up(value, column.decimals))
    return value


def bars(
    result: Result,
    category: str,
    series: Sequence[str],
    *,
    stacked: bool = False,
    lines: Sequence[str] = (),
    most: int = 30,
) -> dict[str, Any] | None:
    """Columns side by side (柱状图), or stacked; `lines` are drawn as lines on a second axis.

    A chart of nothing is no chart. Beyond `most` categories the labels could not be read, so the
    rest is left to the table.
    """
    rows = result.rows[:most]
    if not rows:
        return None
    described = {column.key: column for column in result.columns}
    names = [_name(result, row, category, described[category]) for row in rows]
    option = _base([described[key].title for key in (*series, *lines)])
    slanted = len(names) > 8
    option["xAxis"] = {
        "type": "category",
        "data": names,
        "axisLabel": {
            "interval": 0,
            "hideOverlap": True,
            "rotate": 30 if slanted else 0,
            "width": 96 if slanted else max(48, 600 // len(names)),
            "overflow": "truncate",
        },
    }
    if slanted:
        # A slanted first label reaches to the left of its bar, outside what ECharts reserves.
        option["grid"]["left"] = 40
    option["yAxis"] = [_axis(described[series[0]])]
    if lines:
        option["yAxis"].append({**_axis(described[lines[0]]), "splitLine": {"show": False}})
    option["series"] = [
        {
            "type": "bar",
            "name": described[key].title,
            "barMaxWidth": 36,
            "data": [plot(result.value(row, key), described[key]) for row in rows],
            **({"stack": "all"} if stacked else {}),
        }
        for key in series
    ] + [
        {
            "type": "line",
            "name": described[key].title,
            "yAxisIndex": 1,
            "symbolSize": 6,
            "data": [plot(result.value(row, key), described[key]) for row in rows],
        }
        for key in lines
    ]
    return option


def trend(result: Result, category: str, series: Sequence[str]) -> dict[str, Any] | None:
    """Lines over time (折线图)."""
    if not result.rows:
        return None
    described = {column.key: column for column in result.columns}
    option = _base([described[key].title for key in series])
    names = [_name(result, row, category, described[category]) for row in result.rows]
    option["xAxis"] = {"type": "category", "boundaryGap": False, "data": names}
    option["yAxis"] = [_axis(described[series[0]])]
    option["series"] = [
        {
            "type": "line",
            "name": described[key].title,
            "smooth": False,
            "showSymbol": len(names) <= 40,
            "data": [plot(result.value(row, key), described[key]) for row in result.rows],
        }
        for key in series
    ]
    return option


def ring(result: Result, category: str, value: str) -> dict[str, Any] | None:
    """Shares of a whole (环形图). The legend names the parts; labels on narrow slices collide."""
    described = {column.key: column for column in result.columns}
    data = [
        {
            "name": _name(result, row, category, described[category]),
            "value": plot(result.value(row, value), described[value]),
        }
        for row in result.rows
        if result.value(row, value)
    ]
    if not data:
        return None
    return {
        "color": list(PALETTE),
        "tooltip": {"trigger": "item"},
        "legend": {"type": "scroll", "bottom": 0},
        "series": [
            {
                "type": "pie",
                "name": described[value].title,
                "radius": ["42%", "66%"],
                "center": ["50%", "45%"],
                "label": {"show": False},
                "data": data,
            }
        ],
    }


def _base(names: Sequence[str]) -> dict[str, Any]:
    return {
        "color": list(PALETTE),
        "tooltip": {"trigger": "axis"},
        "legend": {"bottom": 0, "data": list(names)},
        "grid": {"left": 12, "right": 16, "top": 40, "bottom": 40, "containLabel": True},
    }


def _axis(column: Column) -> dict[str, Any]:
    unit = {"percent": "%", "duration": "小时"}.get(column.kind, column.unit)
    axis: dict[str, Any] = {"type": "value", "name": unit}
    if column.kind == "int":
        axis["minInterval"] = 1
    return axis


def _name(result: Result, row: tuple[Value, ...], category: str, column: Column) -> str:
    if column.masked:
        # A chart is drawn once for readers of every masking level.
        raise ValueError(f"column {category!r} is personal and cannot label a chart")
    return show(column.kind, result.value(row, category), decimals=column.decimals)
