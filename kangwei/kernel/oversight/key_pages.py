"""The page of ciphers and keys (密码与密钥): what does the work, how used up the keys are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from kangwei.kernel import clock
from kangwei.kernel.crypto import rotation
from kangwei.kernel.crypto.keys import ring
from kangwei.kernel.crypto.models import Key
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.jobs.registry import register_run_kind
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.oversight import upkeep
from kangwei.kernel.oversight.views.reviews import me
from kangwei.kernel.screens.pages import page, work_page

VIEW_RIGHT, ROTATE_RIGHT = "crypto.view_key", "crypto.rotate_key"
ROTATE_RUN = "oversight.rotate_keys"
CIPHERS = {"sm4": "SM4-GCM", "aes": "AES-256-GCM"}


@work_page(right=VIEW_RIGHT)
@require_GET
def keys(request: HttpRequest) -> HttpResponse:
    running = Run.objects.filter(kind=ROTATE_RUN).order_by("-pk").first()
    return page(
        request,
        "oversight/keys.html",
        {
            "provider": ring.provider.name,
            "certified": ring.provider.certified,
            "cipher": CIPHERS[settings.CIPHER],
            "uses": rotation.key_uses(),
            "others": Key.objects.exclude(purpose=Key.Purpose.FIELD).order_by(
                "purpose", "-created_at"
            ),
            "fields": sorted(
                f"{field.model._meta.verbose_name}·{field.verbose_name}"
                for field in rotation.encrypted_fields()
            ),
            "run": running if running and running.is_open else None,
            "may_rotate": me(request).has_perm(ROTATE_RIGHT),
        },
        title="密码与密钥",
    )


@work_page(right=ROTATE_RIGHT)
@require_POST
def rotate(request: HttpRequest) -> HttpResponse:
    if Run.objects.filter(kind=ROTATE_RUN, state__in=["waiting", "running"]).exists():
        messages.info(request, "密钥轮换正在进行，请稍候。")
    else:
        start_run(kind=ROTATE_RUN, title="轮换字段密钥", by=me(request), at=clock.now())
        messages.success(request, "已开始轮换：新数据改用新密钥，已有数据在后台重新加密。")
    return HttpResponseRedirect(reverse("oversight:keys"))


def rotate_run(run: Run) -> Mapping[str, Any]:
    """Make the key once, then move the values; a run that is called again goes on."""
    at = clock.now()
    made_already = Key.objects.filter(
        purpose=Key.Purpose.FIELD, created_at__gte=run.created_at
    ).exists()
    if not made_already:
        upkeep.new_field_key(by=run.owner, at=at)
    waiting = sum(use.values for use in rotation.key_uses() if use.key.state == Key.State.RETIRED)
    done = upkeep.reencrypt(
        by=run.owner,
        at=at,
        progress=lambda moved, note: run.progress(moved, max(waiting, moved), note),
    )
    return {"values": done.values, "left": list(done.left)}


def register_runs() -> None:
    register_run_kind(kind=ROTATE_RUN, title="轮换字段密钥", work=rotate_run)
