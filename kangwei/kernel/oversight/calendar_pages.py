"""Pages of the working calendar (工作日历): a year at a glance, loading a year, local days."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import date

from django import forms
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from kangwei.kernel import clock
from kangwei.kernel.calendar import queries, services
from kangwei.kernel.calendar.models import STATUTORY, Arrangement, Override
from kangwei.kernel.calendar.rules.working_days import DayInfo, DayKind, WorkingCalendar
from kangwei.kernel.oversight import upkeep
from kangwei.kernel.oversight.views.reviews import me
from kangwei.kernel.refusals import Invalid, Refusal
from kangwei.kernel.screens.pages import page, work_page

VIEW_RIGHT, MANAGE_RIGHT = "calendar.view_arrangement", "calendar.manage_calendar"
HELD = "oversight.calendar.preview"
FIRST_YEAR, LAST_YEAR = 2000, 2100


class LoadForm(forms.Form):
    """The file of a year; a CSV needs its source told beside it."""

    file = forms.FileField(label="安排文件", help_text="JSON，或表头为“日期,类型,名称”的 CSV")
    source = forms.CharField(
        label="来源", required=False, max_length=200, help_text="CSV 必填：发文机关与文件名称"
    )
    published_on = forms.DateField(
        label="发布日期",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="CSV 必填",
    )


class OverrideForm(forms.Form):
    """One word of a local calendar on one day."""

    day = forms.DateField(
        label="日期", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    working = forms.ChoiceField(
        label="调整为",
        choices=[("on", "上班"), ("off", "休息"), ("", "恢复法定安排")],
        required=False,
    )
    note = forms.CharField(label="说明", max_length=200)

    WORDS = {"on": True, "off": False, "": None}


class CalendarForm(forms.Form):
    code = forms.CharField(label="代码", max_length=40, help_text="小写字母、数字、短横线")
    name = forms.CharField(label="名称", max_length=100)


def month_grid(calendar: WorkingCalendar, year: int, month: int) -> list[list[DayInfo | None]]:
    """Weeks from Monday to Sunday, padded with nothing."""
    days: list[DayInfo | None] = [None] * date(year, month, 1).weekday()
    days += calendar.month(year, month)
    days += [None] * (-len(days) % 7)
    return [days[start : start + 7] for start in range(0, len(days), 7)]


def chosen_year(text: str) -> int:
    year = int(text) if text.isdigit() else clock.local_day(clock.now()).year
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise Invalid(f"年份应在 {FIRST_YEAR} 至 {LAST_YEAR} 之间。")
    return year


@work_page(right=VIEW_RIGHT)
@require_GET
def year(request: HttpRequest) -> HttpResponse:
    """Twelve months of one calendar, with the days that differ from an ordinary week."""
    code = request.GET.get("calendar", STATUTORY)
    shown = chosen_year(request.GET.get("year", ""))
    calendar = queries.working_calendar(code)
    months = [
        {
            "number": number,
            "weeks": month_grid(calendar, shown, number),
            "worked": sum(day.kind.is_working for day in calendar.month(shown, number)),
        }
        for number in range(1, 13)
    ]
    local = code != STATUTORY
    return page(
        request,
        "oversight/calendar.html",
        {
            "code": code,
            "calendars": queries.calendars(),
            "year": shown,
            "months": months,
            "worked": calendar.working_days_between(date(shown, 1, 1), date(shown + 1, 1, 1)),
            "published": calendar.is_published(shown),
            "arrangement": queries.arrangements().get(shown),
            "missing": "、".join(map(str, queries.missing_years(clock.local_day(clock.now())))),
            "versions": Arrangement.objects.filter(year=shown),
            "overrides": Override.objects.filter(calendar_id=code, day__year=shown)
            if local
            else (),
            "local": local,
            "kinds": list(DayKind),
            "may_manage": me(request).has_perm(MANAGE_RIGHT),
            "override_form": OverrideForm(),
            "calendar_form": CalendarForm(),
        },
        title="工作日历",
    )


@work_page(right=MANAGE_RIGHT)
@require_http_methods(["GET", "POST"])
def load(request: HttpRequest) -> HttpResponse:
    """Look at a file first; load it when the preview is confirmed."""
    form = LoadForm(request.POST or None, request.FILES or None)
    preview: services.Preview | None = None
    held = ""
    if request.method == "POST" and form.is_valid():
        raw = form.cleaned_data["file"].read(services.LARGEST_FILE + 1)
        source, published_on = form.cleaned_data["source"], form.cleaned_data["published_on"]
        try:
            preview = services.preview_year(content=raw, source=source, published_on=published_on)
        except Refusal as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        else:
            held = hold(raw, source, published_on)
    return page(
        request,
        "oversight/calendar_load.html",
        {"form": form, "preview": preview, "held": held},
        title="导入节假日安排",
    )


def hold(raw: bytes, source: str, published_on: date | None) -> str:
    """What was previewed, signed, so that exactly this is loaded when it is confirmed."""
    stated = published_on.isoformat() if published_on else ""
    return signing.dumps([b64encode(raw).decode(), source, stated], salt=HELD, compress=True)


@work_page(right=MANAGE_RIGHT)
@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """Load what the preview showed."""
    try:
        raw, source, stated = signing.loads(request.POST.get("held", ""), salt=HELD, max_age=3600)
    except signing.BadSignature:
        raise Invalid("预览已过期，请重新选择文件预览后再导入。") from None
    made = upkeep.load_year(
        content=b64decode(raw),
        source=source,
        published_on=date.fromisoformat(stated) if stated else None,
        by=me(request),
        at=clock.now(),
    )
    messages.success(request, f"已导入 {made.year} 年安排（第 {made.version} 版）。")
    return HttpResponseRedirect(f"{reverse('oversight:calendar')}?year={made.year}")


@work_page(right=MANAGE_RIGHT)
@require_POST
def override(request: HttpRequest) -> HttpResponse:
    form = OverrideForm(request.POST)
    code = request.POST.get("calendar", "")
    if not form.is_valid():
        raise Invalid("请填写日期和说明后再调整。")
    made = upkeep.override_day(
        code=code,
        day=form.cleaned_data["day"],
        working=OverrideForm.WORDS[form.cleaned_data["working"]],
        note=form.cleaned_data["note"],
        by=me(request),
        at=clock.now(),
    )
    messages.success(request, f"已调整 {made.day:%Y-%m-%d}。")
    return HttpResponseRedirect(
        f"{reverse('oversight:calendar')}?calendar={code}&year={made.day.year}"
    )


@work_page(right=MANAGE_RIGHT)
@require_POST
def create(request: HttpRequest) -> HttpResponse:
    form = CalendarForm(request.POST)
    if not form.is_valid():
        raise Invalid("请填写日历的代码和名称。")
    made = upkeep.create_calendar(**form.cleaned_data, by=me(request), at=clock.now())
    messages.success(request, f"已新建日历“{made.name}”。")
    return HttpResponseRedirect(f"{reverse('oversight:calendar')}?calendar={made.code}")
