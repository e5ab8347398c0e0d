"""A report (报表), declared once: what it asks, what its columns mean, how it is counted.

Everything a reader can get — page, chart, print, CSV, Excel, API, subscription, frozen snapshot,
table in a document — comes from one `Report`. All types here are immutable and plain Python.

    TIMELY = Report(
        code="desk.timely",
        title="工单及时率",
        group="服务台",
        version=1,
        purpose="每家机构的工单有多少在约定时间内响应。",
        parameters=(PeriodParameter(kinds=("month", "quarter")), InstitutionParameter()),
        columns=(
            Column(key="institution", title="机构", definition="报修的机构。"),
            Column(key="all", title="应响应", definition="本期报修且未剔除的工单数。",
                   kind="int", total="sum", drill=True),
            Column(key="met", title="及时", definition="其中在时限内响应的。",
                   kind="int", total="sum"),
            Column(key="rate", title="及时率", definition="及时 ÷ 应响应。",
                   kind="percent", total=Rate("met", "all")),
        ),
        key=("institution",),
        rows=count_timely,            # def count_timely(ctx: Context) -> Iterable[Mapping]
        drill=tickets_behind,         # def tickets_behind(ctx, row, column) -> DetailTable
        right="desk.view_ticket",
        scope="institution",
    )

A column whose total is a `Rate` is computed by the engine, in every row, subtotal and total, from
the columns it names; it is never summed, never averaged, and null where the denominator is zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from .periods import KIND_TITLES as PERIOD_TITLES
from .periods import Period, PeriodKind
from .recurrence import Recurrence
from .values import KIND_TITLES, SUMMABLE, Kind, Value

if TYPE_CHECKING:
    from .results import Result

_CODE = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$")
_KEY = re.compile(r"^[a-z][a-z0-9_]*$")
_RIGHT = re.compile(r"^[a-z_]+\.[a-z0-9_]+$")
#: Words of the page's own address; a parameter of the same name could never be reached.
RESERVED = frozenset({"result", "sort", "page", "columns", "format", "run", "size"})

QS = TypeVar("QS")


class DeclarationError(ValueError):
    """A declaration contradicts itself; the start stops and the message names the report."""


# ── Parameters ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing the reader may choose. Subclasses say what kind of thing."""

    key: str
    title: str
    required: bool = False
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class PeriodParameter(Parameter):
    """The period counted; `default` is `current` or `previous`, of the first kind."""

    key: str = "period"
    title: str = "统计期间"
    required: bool = True
    kinds: tuple[PeriodKind, ...] = ("month", "quarter", "half_year", "year", "range")
    default: str = "previous"


@dataclass(frozen=True, kw_only=True)
class InstitutionParameter(Parameter):
    """One institution in scope, with everything below it; none means the whole scope."""

    key: str = "institution"
    title: str = "机构"


@dataclass(frozen=True, kw_only=True)
class RegionParameter(Parameter):
    """A region; institutions in it (and in the regions below) are counted."""

    key: str = "region"
    title: str = "区划"


@dataclass(frozen=True, kw_only=True)
class ChoiceParameter(Parameter):
    """One of a few named values; `choices` are (value, title) pairs or a function giving them."""

    choices: tuple[tuple[str, str], ...] | Callable[[], Iterable[tuple[str, str]]]
    default: str = ""

    def options(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.choices() if callable(self.choices) else self.choices)


@dataclass(frozen=True, kw_only=True)
class NumberParameter(Parameter):
    low: int | None = None
    high: int | None = None
    default: int | None = None


@dataclass(frozen=True, kw_only=True)
class TextParameter(Parameter):
    max_length: int = 50
    default: str = ""


# ── Columns ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Rate:
    """`numerator ÷ denominator × per`, both named by column; null when the denominator is 0."""

    numerator: str
    denominator: str
    per: int = 100


@dataclass(frozen=True)
class Custom:
    """A total that is neither a sum nor a rate: `of(rows)` sees the rows it stands under."""

    of: Callable[[Sequence[Mapping[str, Value]]], Value]
    words: str


Total = Literal["none", "sum"] | Rate | Custom
Align = Literal["left", "right", "center"]
Masked = Literal["", "name", "phone", "id_number", "address"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what it is called, what it means in words, and how it is totalled.

    `group` is the path of headings above the title (分组表头), outermost first. `drill` makes the
    figure a link to the rows behind it. `masked` hides personal data by the reader's masking
    level. A `hidden` column is computed and stored, but shown only when chosen.
    """

    key: str
    title: str
    definition: str
    kind: Kind = "text"
    group: tuple[str, ...] = ()
    total: Total = "none"
    unit: str = ""
    decimals: int = 2
    align: Align | None = None
    drill: bool = False
    masked: Masked = ""
    hidden: bool = False

    @property
    def alignment(self) -> Align:
        if self.align:
            return self.align
        return "left" if self.kind in {"text", "date", "datetime"} else "right"

    @property
    def full_title(self) -> str:
        """The title with the headings above it, for places with one heading row."""
        return " · ".join((*self.group, self.title)) + (f"（{self.unit}）" if self.unit else "")

    def plain(self) -> dict[str, Any]:
        """The declared facts as JSON, stored with every frozen result."""
        total: Any = self.total
        if isinstance(total, Rate):
            total = {"rate": [total.numerator, total.denominator, total.per]}
        elif isinstance(total, Custom):
            total = {"custom": total.words}
        return {
            "key": self.key,
            "title": self.title,
            "definition": self.definition,
            "kind": self.kind,
            "group": list(self.group),
            "total": total,
            "unit": self.unit,
            "decimals": self.decimals,
            "align": self.alignment,
            "drill": self.drill,
            "masked": self.masked,
            "hidden": self.hidden,
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Column:
        """Read a column back; a custom total keeps its words, its stored value is the figure."""
        facts = dict(data)
        total = facts["total"]
        if isinstance(total, Mapping):
            if "rate" in total:
                total = Rate(*total["rate"])
            else:
                total = Custom(of=lambda rows: None, words=total["custom"])
        return cls(**{**facts, "group": tuple(facts["group"]), "total": total})


# ── What a report is given and gives ──────────────────────────────────────────────────────────


class ScopeLike(Protocol):
    """Whose rows an account may see; the kernel's `Scope` is one."""

    def limit(self, queryset: Any, path: str) -> Any: ...


@dataclass(frozen=True)
class Context:
    """What a query may know: the parameters, the cut-off moment, and whose rows it may see.

    Count what was known at `cutoff` (recorded at or before it), so that the same cut-off gives
    the same figures. Pass every query set through `limit` first.
    """

    parameters: Mapping[str, Any]
    cutoff: datetime
    by: Any
    scope: ScopeLike
    scope_path: str | None = None
    #: What the reader narrowed it to: the institution or region chosen.
    narrowed: tuple[ScopeLike, ...] = ()

    def __getitem__(self, key: str) -> Any:
        return self.parameters[key]

    @property
    def period(self) -> Period:
        """The first period parameter of the report."""
        for value in self.parameters.values():
            if isinstance(value, Period):
                return value
        raise KeyError("this report has no period")

    def limit(self, queryset: QS, path: str | None = None) -> QS:
        """Only rows inside the account's scope, and inside the institution or region chosen."""
        through = path or self.scope_path
        if through is None:
            return queryset
        limited: Any = self.scope.limit(queryset, through)
        for narrower in self.narrowed:
            limited = narrower.limit(limited, through)
        return limited  # type: ignore[no-any-return]  # a query set of the same model


@dataclass(frozen=True)
class DetailTable:
    """The rows behind one figure (明细). Their count is the figure, unless `measure` names the
    column whose sum is."""

    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Any]]
    measure: str | None = None


Row = Mapping[str, Any]
RowsFunction = Callable[[Context], Iterable[Row]]
#: `row` holds the key columns of the line that was clicked, or None for the total line.
DrillFunction = Callable[[Context, Row | None, Column], DetailTable]
ChartFunction = Callable[["Result"], "dict[str, Any] | None"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A declared question. See the top of this file for an example.

    `key` names the columns that tell one row from another (for comparison and drill-down).
    `scope` is the path from the counted model to its institution; None: not tied to institutions.
    `version` is raised whenever the way of counting changes; a snapshot keeps the version it was
    made with. `long=True` runs in the background. `limit` is the most rows it may return. `freeze`
    is when it is best frozen: offered as a plan that one click starts.
    """

    code: str
    title: str
    group: str
    purpose: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: RowsFunction
    right: str
    version: int = 1
    parameters: tuple[Parameter, ...] = ()
    scope: str | None = None
    totals: bool = True
    subtotal_by: str | None = None
    chart: ChartFunction | None = None
    drill: DrillFunction | None = None
    order: int = 100
    long: bool = False
    limit: int = 100_000
    freeze: Recurrence | None = None
    notes: tuple[str, ...] = field(default=())

    def column(self, key: str) -> Column:
        return next(column for column in self.columns if column.key == key)

    def parameter(self, key: str) -> Parameter | None:
        return next((one for one in self.parameters if one.key == key), None)

    @property
    def personal(self) -> bool:
        """Whether a column holds personal data; its stored results are then encrypted."""
        return any(column.masked for column in self.columns)

    def plain(self) -> dict[str, Any]:
        """The declaration as JSON: what its digest is taken over and the API describes."""
        return {
            "code": self.code,
            "title": self.title,
            "group": self.group,
            "version": self.version,
            "purpose": self.purpose,
            "key": list(self.key),
            "subtotal_by": self.subtotal_by,
            "notes": list(self.notes),
            "columns": [column.plain() for column in self.columns],
            "parameters": [
                {"key": one.key, "title": one.title, "kind": type(one).__name__}
                for one in self.parameters
            ],
        }


def check(report: Report) -> None:
    """Refuse a declaration that contradicts itself, before anybody can run it."""

    def wrong(what: str) -> DeclarationError:
        return DeclarationError(f"report {report.code!r}: {what}")

    if not _CODE.match(report.code):
        raise wrong("the code must read app.name, in small letters")
    if not _RIGHT.match(report.right):
        raise wrong(f"the right {report.right!r} must read app.codename")
    if not (report.title and report.group and report.purpose):
        raise wrong("title, group and purpose must be given")
    if report.version < 1 or report.limit < 1:
        raise wrong("version and limit start at 1")
    for parameter in report.parameters:
        _check_parameter(report, parameter, wrong)
    if repeated := _repeated(parameter.key for parameter in report.parameters):
        raise wrong(f"parameter {repeated!r} is declared twice")
    keys = {column.key: column for column in report.columns}
    if repeated := _repeated(column.key for column in report.columns):
        raise wrong(f"column {repeated!r} is declared twice")
    for column in report.columns:
        _check_column(column, keys, wrong)
        if column.drill and report.drill is None:
            raise wrong(f"column {column.key!r} can be drilled, but the report has no drill")
    if not report.key:
        raise wrong("key must name the columns that tell rows apart")
    for name in (*report.key, *([report.subtotal_by] if report.subtotal_by else [])):
        if name not in keys:
            raise wrong(f"key or subtotal names the unknown column {name!r}")
    if not any(not column.hidden for column in report.columns):
        raise wrong("every column is hidden")


Wrong = Callable[[str], DeclarationError]


def _check_parameter(report: Report, parameter: Parameter, wrong: Wrong) -> None:
    if not _KEY.match(parameter.key) or parameter.key in RESERVED:
        raise wrong(f"parameter key {parameter.key!r} is not usable")
    if isinstance(parameter, PeriodParameter):
        if not parameter.kinds or any(kind not in PERIOD_TITLES for kind in parameter.kinds):
            raise wrong(f"parameter {parameter.key!r} has an unknown kind of period")
    elif isinstance(parameter, InstitutionParameter | RegionParameter) and report.scope is None:
        raise wrong(f"parameter {parameter.key!r} needs the report's scope path")


def _check_column(column: Column, keys: Mapping[str, Column], wrong: Wrong) -> None:
    name = column.key
    if not _KEY.match(name):
        raise wrong(f"column key {name!r} is not usable")
    if not column.definition.strip() or not column.title.strip():
        raise wrong(f"column {name!r} lacks its title or definition in words")
    if column.kind not in KIND_TITLES:
        raise wrong(f"column {name!r} has the unknown kind {column.kind!r}")
    if column.masked and column.kind != "text":
        raise wrong(f"column {name!r} is masked but not text")
    if column.total == "sum" and column.kind not in SUMMABLE:
        raise wrong(f"column {name!r} of kind {column.kind} cannot be summed")
    if isinstance(column.total, Rate):
        if column.kind not in {"percent", "decimal"}:
            raise wrong(f"column {name!r} is a rate, its kind must be percent or decimal")
        for part in (column.total.numerator, column.total.denominator):
            if part not in keys or keys[part].total != "sum":
                raise wrong(f"rate {name!r} needs {part!r} as a column that is summed")


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
