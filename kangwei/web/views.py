"""About Kangwei (关于): versions, licences, and the facts of this installation."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.crypto.keys import ring
from kangwei.kernel.screens.pages import page, work_page
from kangwei.web.parts import FRONT_END, UNPROVEN, Part

PRODUCT = "康维"


@work_page()
@require_GET
def about(request: HttpRequest) -> HttpResponse:
    context: dict[str, Any] = {
        "version": product_version(),
        "facts": facts(),
        "packages": packages(),
        "front_end": FRONT_END,
        "unproven": UNPROVEN,
    }
    return page(request, "kw/about.html", context, title="关于康维")


@lru_cache(maxsize=1)
def product_version() -> str:
    import tomllib

    with (settings.BASE_DIR / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


@dataclass(frozen=True)
class Fact:
    name: str
    value: str
    good: bool | None = None


def facts() -> list[Fact]:
    """What an administrator is asked for when something is wrong."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        server = str(cursor.fetchone()[0]).split(" ", 1)[0]
    enforced = audit_queries.append_only_enforced()
    return [
        Fact("产品版本", f"{PRODUCT} {product_version()}"),
        Fact(
            "运行环境",
            f"Python {platform.python_version()}，{platform.system()} {platform.machine()}",
        ),
        Fact("数据库", f"PostgreSQL {server}"),
        Fact(
            "审计日志只增不改",
            "由数据库权限强制"
            if enforced
            else "仅由触发器保证；设置 KW_DATABASE_OWNER_URL 后由数据库权限强制",
            enforced,
        ),
        Fact("密码算法提供者", ring.provider.name),
        Fact(
            "加密传输",
            "已启用 HTTPS" if settings.HTTPS else "未启用 HTTPS（KW_HTTPS=1 启用）",
            settings.HTTPS,
        ),
        Fact("运行方式", "演示" if settings.DEMO else "正式"),
    ]


@lru_cache(maxsize=1)
def packages() -> list[Part]:
    """Every runtime package of the lock file, with the licence its own metadata states."""
    parts: list[Part] = []
    for name in locked_names():
        try:
            found = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # a lock covers platforms this machine is not
        parts.append(Part(str(found["Name"]), str(found["Version"]), licence_of(found)))
    return sorted(parts, key=lambda part: part.name.lower())


def locked_names() -> list[str]:
    lines = (settings.BASE_DIR / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [
        line.split("==")[0].split("[")[0] for line in lines if "==" in line and line[0] not in "# "
    ]


def licence_of(found: Any) -> str:
    """The SPDX expression, else the classifier, else the first line of the licence field."""
    if expression := found.get("License-Expression"):
        return str(expression)
    classifiers = [
        str(text).rsplit("::", 1)[-1].strip()
        for text in found.get_all("Classifier") or []
        if str(text).startswith("License ::")
    ]
    named = [text for text in classifiers if text != "OSI Approved"]
    if named:
        return "、".join(named)
    return (
        str(found.get("License") or "").strip().splitlines()[0][:60]
        if found.get("License")
        else "见软件包内许可文件"
    )
