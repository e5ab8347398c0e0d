"""A small API and a form for tests of the frame; serves as a ROOT_URLCONF."""

from __future__ import annotations

import threading
from datetime import date
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import include, path
from ninja import File, Query, Schema, UploadedFile
from pydantic import Field, field_validator

from kangwei.kernel.api import probes
from kangwei.kernel.api.idempotency import once
from kangwei.kernel.api.paging import Page, Paging, paginate
from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.api.site import make_api
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import Institution
from kangwei.kernel.refusals import NotFound, Refusal

VIEW, PRESS = "organisations.view_institution", "organisations.manage_account"
PRESSED = "test.button.pressed"
#: Set by a test to keep a slow act inside its transaction.
hold = threading.Event()
reached = threading.Event()

router = KwRouter(tag="样例")


class Broken(Refusal):
    code = "test.button_broken"
    title = "按钮坏了"


class InstitutionOut(Schema):
    id: int
    name: str
    code: str


class PressIn(Schema):
    floor: int = Field(ge=1, le=30, description="楼层")
    mood: Literal["good", "slow", "broken", "stumble", "large"] = "good"
    on: date | None = None
    note: str = ""

    @field_validator("note")
    @classmethod
    def _short(cls, note: str) -> str:
        if len(note) > 10:
            raise ValueError("备注太长")
        return note


class PressOut(Schema):
    floor: int
    entry: int


@router.get(
    "/institutions", right=VIEW, rows=Institution, response=Page[InstitutionOut], summary="机构"
)
def institutions(request: ApiRequest, paging: Query[Paging], kind: str | None = None) -> Any:
    found = Institution.objects.visible_to(request.user)
    return paginate(found, paging, order={"code": "code", "name": "name"})


@router.get(
    "/institutions/{institution_id}",
    right=VIEW,
    rows=Institution,
    response=InstitutionOut,
    summary="一个机构",
)
def institution(request: ApiRequest, institution_id: int) -> Any:
    row = Institution.objects.visible_to(request.user).filter(pk=institution_id).first()
    if row is None:
        raise NotFound(f"没有编号为 {institution_id} 的机构。")
    return row


@router.get("/whoami", right=None, response=dict[str, Any], summary="我是谁")
def whoami(request: ApiRequest) -> Any:
    return {"name": request.user.username, "by_key": request.api_key is not None}


@router.get("/file", right=None, summary="一个文件")
def file(request: ApiRequest) -> Any:
    return HttpResponse(b"a,b\n", content_type="text/csv")


@router.act("/press", right=PRESS, response=PressOut, summary="按下按钮", example={"floor": 3})
def press(request: ApiRequest, content: PressIn) -> Any:
    written = audit.record(
        act=PRESSED, by=request.user, at=request.at, detail={"floor": content.floor}
    )
    if content.mood == "slow":
        reached.set()
        hold.wait(10)
    if content.mood == "broken":
        raise Broken(f"{content.floor} 楼的按钮坏了，请走楼梯。", field="floor")
    if content.mood == "stumble":
        return 1 // 0
    if content.mood == "large":
        Institution.objects.update(region_id=1 << 70)
    return {"floor": content.floor, "entry": written.entry_id}


@router.act("/silent", right=PRESS, summary="没有应答内容的操作")
def silent(request: ApiRequest) -> Any:
    audit.record(act=PRESSED, by=request.user, at=request.at)


@router.act("/upload", right=PRESS, response=dict[str, Any], summary="上传")
def upload(request: ApiRequest, document: File[UploadedFile]) -> Any:
    audit.record(act=PRESSED, by=request.user, at=request.at)
    return {"size": document.size}


@once
def form(request: HttpRequest) -> HttpResponse:
    """A page form that acts and leads to the thing it made."""
    if request.method == "POST" and request.POST.get("floor"):
        from kangwei.kernel import clock

        written = audit.record(act=PRESSED, by=request.user, at=clock.now())
        return HttpResponseRedirect(f"/made/{written.entry_id}")
    return HttpResponse("请填写楼层")


api = make_api([("/sample", router)], namespace="api-sample")
urlpatterns = [
    path("api/v1/", api.urls),
    path("form", form),
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    path("metrics", probes.metrics),
    # The rest of the site, for whatever the middleware wants to lead to.
    path("", include("kangwei.web.urls")),
]
