"""The working calendar and the keys over the API."""

from __future__ import annotations

from datetime import date
from typing import Any

from ninja import Query, Schema
from pydantic import Field

from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.calendar import queries, services
from kangwei.kernel.calendar.models import STATUTORY
from kangwei.kernel.crypto import rotation
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.oversight import upkeep
from kangwei.kernel.oversight.calendar_pages import MANAGE_RIGHT, VIEW_RIGHT
from kangwei.kernel.oversight.key_pages import ROTATE_RIGHT, ROTATE_RUN
from kangwei.kernel.oversight.key_pages import VIEW_RIGHT as KEY_RIGHT
from kangwei.kernel.refusals import Invalid

calendar_router = KwRouter(tag="工作日历")
key_router = KwRouter(tag="密码与密钥")
LONGEST = 400


class DayOut(Schema):
    day: date
    kind: str = Field(description="workday、make_up、local_work、weekend、holiday、local_off")
    is_working_day: bool
    name: str = Field(description="节日名称或调整说明")
    provisional: bool = Field(description="该年安排尚未公布，结果为暂定")


class DaysIn(Schema):
    since: date = Field(description="起始日期（含）")
    until: date = Field(description="截止日期（不含），最多 400 天")
    calendar: str = Field(STATUTORY, max_length=40, description="日历代码")


@calendar_router.get("/days", right=VIEW_RIGHT, response=list[DayOut], summary="逐日查询工作日历")
def days(request: ApiRequest, asked: Query[DaysIn]) -> Any:
    length = (asked.until - asked.since).days
    if not 0 < length <= LONGEST:
        raise Invalid(f"起止日期应相差 1 至 {LONGEST} 天。", field="until")
    calendar = queries.working_calendar(asked.calendar)
    first = asked.since.toordinal()
    found = [calendar.info(date.fromordinal(first + step)) for step in range(length)]
    return [
        {
            "day": info.day,
            "kind": info.kind.value,
            "is_working_day": info.kind.is_working,
            "name": info.name,
            "provisional": info.provisional,
        }
        for info in found
    ]


class YearIn(Schema):
    content: str = Field(
        min_length=1, max_length=services.LARGEST_FILE, description="JSON 或 CSV 文件的内容"
    )
    source: str = Field("", max_length=200, description="来源，CSV 必填")
    published_on: date | None = Field(None, description="发布日期，CSV 必填")


class YearOut(Schema):
    year: int
    version: int
    title: str
    source: str
    published_on: date


@calendar_router.act("/years", right=MANAGE_RIGHT, response=YearOut, summary="导入一年的节假日安排")
def load_year(request: ApiRequest, content: YearIn) -> Any:
    return upkeep.load_year(
        content=content.content.encode(),
        source=content.source,
        published_on=content.published_on,
        by=request.user,
        at=request.at,
    )


class CalendarIn(Schema):
    code: str = Field(min_length=1, max_length=40)
    name: str = Field(min_length=1, max_length=100)


class CalendarOut(Schema):
    code: str
    name: str


@calendar_router.act(
    "/calendars", right=MANAGE_RIGHT, response=CalendarOut, summary="新建本地日历",
    example={"code": "xian", "name": "西安院区"},
)  # fmt: skip
def create_calendar(request: ApiRequest, content: CalendarIn) -> Any:
    return upkeep.create_calendar(
        code=content.code, name=content.name, by=request.user, at=request.at
    )


class OverrideIn(Schema):
    calendar: str = Field(min_length=1, max_length=40)
    day: date
    working: bool | None = Field(description="上班、休息；空为恢复法定安排")
    note: str = Field(min_length=1, max_length=200, description="说明")


class OverrideOut(Schema):
    day: date
    version: int
    working: bool | None
    note: str


@calendar_router.act(
    "/overrides", right=MANAGE_RIGHT, response=OverrideOut, summary="调整本地日历的一天",
    example={"calendar": "xian", "day": "2026-05-09", "working": False, "note": "停电检修"},
)  # fmt: skip
def override_day(request: ApiRequest, content: OverrideIn) -> Any:
    return upkeep.override_day(
        code=content.calendar,
        day=content.day,
        working=content.working,
        note=content.note,
        by=request.user,
        at=request.at,
    )


class CryptoKeyOut(Schema):
    kid: str
    algorithm: str
    state: str = Field(description="active、retired")
    uses: int = Field(description="已加密次数（按块计）")
    values: int = Field(description="仍由它加密的值")


@key_router.get("/fields", right=KEY_RIGHT, response=list[CryptoKeyOut], summary="字段密钥使用情况")
def field_keys(request: ApiRequest) -> Any:
    return [
        {
            "kid": use.key.kid,
            "algorithm": use.key.algorithm,
            "state": use.key.state,
            "uses": use.uses,
            "values": use.values,
        }
        for use in rotation.key_uses()
    ]


class RotationOut(Schema):
    id: int
    title: str
    state: str


@key_router.act("/rotate", right=ROTATE_RIGHT, response=RotationOut, summary="轮换字段密钥")
def rotate(request: ApiRequest) -> Any:
    return start_run(kind=ROTATE_RUN, title="轮换字段密钥", by=request.user, at=request.at)
