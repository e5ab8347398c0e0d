"""A result as an HTML table, written straight: a page of a hundred rows costs milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from html import escape
from urllib.parse import urlencode

from django.utils.safestring import SafeString, mark_safe

from ..rules.comparison import CellChange, Comparison, RowState
from ..rules.declarations import Column
from ..rules.headers import head_rows
from ..rules.layout import Mask, labelled, shown
from ..rules.results import Line, Result
from ..rules.values import NOTHING, show

#: The row's place in the kept result and the column → the address of the details, or "".
DrillUrl = Callable[[int | None, Column], str]
SortUrl = Callable[[Column], tuple[str, str]]


def head(columns: Sequence[Column], sort: SortUrl | None) -> str:
    lines = []
    for row in head_rows(columns):
        cells = []
        for cell in row:
            spans = (f' colspan="{cell.columns}"' if cell.columns > 1 else "") + (
                f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
            )
            title = escape(cell.title)
            pinned = ' class="rp-pin"' if cell.first == 0 else ""
            if cell.column is None:
                cells.append(f'<th scope="colgroup"{spans}{pinned}>{title}</th>')
                continue
            side = f" rp-{cell.column.alignment}"
            pinned = f' class="{"rp-pin" if cell.first == 0 else ""}{side}"'
            hint = f' title="{escape(cell.column.definition, quote=True)}"'
            if sort is not None:
                url, direction = sort(cell.column)
                aria = f' aria-sort="{direction}"' if direction else ""
                mark = {"ascending": "▲", "descending": "▼"}.get(direction, "")
                title = f'<a href="{escape(url, quote=True)}">{title}<i>{mark}</i></a>'
                cells.append(f'<th scope="col"{spans}{pinned}{hint}{aria}>{title}</th>')
            else:
                cells.append(f'<th scope="col"{spans}{pinned}{hint}>{title}</th>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<thead>{''.join(lines)}</thead>"


def table(
    result: Result,
    columns: Sequence[Column],
    lines: Iterable[tuple[str, str, Line, int | None]],
    *,
    mask: Mask,
    drill: DrillUrl | None = None,
    sort: SortUrl | None = None,
    label: str = "",
) -> SafeString:
    """`lines` are (kind, label, values, place of the row in the kept result)."""
    places = [result.index[column.key] for column in columns]
    body: list[str] = []
    foot: list[str] = []
    for kind, name, line, number in lines:
        texts = [shown(c, line[p], mask) for c, p in zip(columns, places, strict=True)]
        if kind != "row":
            texts = labelled(texts, name)
        cells = []
        for place, (column, text) in enumerate(zip(columns, texts, strict=True)):
            inner = escape(text)
            if text == NOTHING:
                inner = f'<span class="rp-nothing" aria-label="无">{NOTHING}</span>'
            elif drill is not None and column.drill and kind != "subtotal":
                url = drill(number if kind == "row" else None, column)
                if url and line[places[place]]:
                    inner = f'<a href="{escape(url, quote=True)}">{inner}</a>'
            side = column.alignment
            tag = "th" if place == 0 else "td"
            scope = ' scope="row"' if place == 0 else ""
            pinned = "rp-pin " if place == 0 else ""
            cells.append(f'<{tag}{scope} class="{pinned}rp-{side}">{inner}</{tag}>')
        row = f'<tr class="rp-{kind}">{"".join(cells)}</tr>'
        (foot if kind == "total" else body).append(row)
    caption = f'<caption class="kw-sr">{escape(label)}</caption>' if label else ""
    tail = f"<tfoot>{''.join(foot)}</tfoot>" if foot else ""
    # Every value was escaped above.
    return mark_safe(  # noqa: S308
        f'<table class="kw-table rp-table" data-kw-rows>{caption}{head(columns, sort)}'
        f"<tbody>{''.join(body)}</tbody>{tail}</table>"
    )


STATE_TONES: dict[RowState, str] = {
    "added": "good",
    "removed": "bad",
    "changed": "warn",
    "same": "",
}
STATE_WORDS: dict[RowState, str] = {
    "added": "新增",
    "removed": "减少",
    "changed": "变化",
    "same": "",
}


def comparison_table(
    comparison: Comparison, *, mask: Mask, everything: bool, most: int = 500
) -> SafeString:
    """Each changed cell shows what was, what is, and by how much."""
    columns = [column for column in comparison.columns if not column.hidden]
    places = [place for place, column in enumerate(comparison.columns) if not column.hidden]
    rows = [row for row in comparison.rows if everything or row.state != "same"][:most]
    state = '<th scope="col" class="rp-center">变化</th>'
    cells = "".join(
        f'<th scope="col" class="{"rp-pin " if n == 0 else ""}rp-{column.alignment}" '
        f'title="{escape(column.definition, quote=True)}">{escape(column.full_title)}</th>'
        for n, column in enumerate(columns)
    )
    body = []
    for row in rows:
        drawn = "".join(
            _changed(column, row.cells[place], mask, row.state, first=n == 0)
            for n, (column, place) in enumerate(zip(columns, places, strict=True))
        )
        badge = (
            f'<span class="kw-badge kw-badge-{STATE_TONES[row.state]}">'
            f"{STATE_WORDS[row.state]}</span>"
            if row.state != "same"
            else ""
        )
        body.append(f'<tr class="rp-{row.state}">{drawn}<td class="rp-center">{badge}</td></tr>')
    foot = ""
    if comparison.totals is not None:
        drawn = "".join(
            _changed(column, comparison.totals.cells[place], mask, "changed", first=n == 0)
            if n
            else '<th scope="row" class="rp-pin">合计</th>'
            for n, (column, place) in enumerate(zip(columns, places, strict=True))
        )
        foot = f'<tfoot><tr class="rp-total">{drawn}<td></td></tr></tfoot>'
    # Every value was escaped above.
    return mark_safe(  # noqa: S308
        f'<table class="kw-table rp-table rp-compare"><thead><tr>{cells}{state}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody>{foot}</table>"
    )


def _changed(column: Column, cell: CellChange, mask: Mask, state: RowState, *, first: bool) -> str:
    tag, scope = ("th", ' scope="row"') if first else ("td", "")
    side = f"{'rp-pin ' if first else ''}rp-{column.alignment}"
    if state in {"added", "removed"}:
        value = cell.after if state == "added" else cell.before
        return f'<{tag}{scope} class="{side}">{escape(shown(column, value, mask))}</{tag}>'
    after = escape(shown(column, cell.after, mask))
    if not cell.changed:
        return f'<{tag}{scope} class="{side}">{after}</{tag}>'
    before = escape(shown(column, cell.before, mask))
    notes = []
    delta = cell.delta
    if delta is not None:
        seconds = delta.total_seconds() if isinstance(delta, timedelta) else delta
        up = seconds > 0
        kind = "decimal" if column.kind == "percent" else column.kind
        text = show(
            "decimal" if kind == "int" else kind,
            delta,
            decimals=0 if kind == "int" else column.decimals,
        )
        unit = " 个百分点" if column.kind == "percent" else ""
        sign = "+" if up else ""
        growth = cell.percent
        percent = f"（{'+' if up else ''}{show('percent', growth)}）" if growth is not None else ""
        if column.kind == "percent":
            percent = ""
        tone = "rp-up" if up else "rp-down"
        notes.append(f'<small class="{tone}">{sign}{escape(text)}{unit}{percent}</small>')
    return (
        f'<{tag}{scope} class="{side} rp-cell-changed"><del>{before}</del> <ins>{after}</ins>'
        f"{''.join(notes)}</{tag}>"
    )


def with_query(path: str, **query: str) -> str:
    kept = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path
