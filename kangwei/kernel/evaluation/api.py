"""Trial calculation over the API (试算接口)."""

from __future__ import annotations

from typing import Any

from ninja import Schema
from pydantic import Field

from kangwei.kernel.api.registry import ApiRequest, KwRouter

from . import registry, services

router = KwRouter(tag="试算")


class EngineOut(Schema):
    name: str = Field(description="引擎名称")
    title: str = Field(description="中文名")
    describe: str = Field(description="输入和输出的说明")
    example: dict[str, Any] = Field(description="一个可以直接试算的案例")


@router.get("", right=None, response=list[EngineOut], summary="试算引擎列表")
def engines(request: ApiRequest) -> Any:
    return registry.engines()


@router.ask(
    "/{engine}",
    right=None,
    response=list[dict[str, Any]],
    summary="试算一组案例",
    description="请求内容是案例的数组，应答按同样的顺序给出每个案例的结果；"
    "个别案例有误时只有它的结果是 error，不影响其余案例。一次最多 5000 个案例。",
    example=[{"id": "1", "date": "2026-02-13", "add_workdays": 3}],
)
def evaluate(request: ApiRequest, engine: str, cases: list[Any]) -> Any:
    return services.evaluate_cases(
        engine=services.known_engine(engine), given=cases, by=request.user, at=request.at
    )
