"""What the operator asked for in the environment, read once and checked.

A wrong value stops the start with one sentence that names the variable. What Django reads is
checked by Django's own settings; these are the few that the supervisor itself needs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


class CannotStart(Exception):
    """The start is impossible; the message is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Wishes:
    root: Path  # the checkout or installation
    data: Path  # KW_DATA
    bind: str
    port: int
    host: str  # a host name that the web server answers to
    database_url: str  # empty: our own PostgreSQL
    owner_url: str
    programs: Path | None  # KW_PG_BIN
    demo: bool

    @property
    def address(self) -> str:
        """The address a person on this machine opens."""
        host = ipaddress.ip_address(self.bind)
        if host.is_unspecified:
            host = ipaddress.ip_address("127.0.0.1" if host.version == 4 else "::1")
        return f"http://{f'[{host}]' if host.version == 6 else host}:{self.port}"


def read(environment: Mapping[str, str], root: Path) -> Wishes:
    def text(name: str) -> str:
        return environment.get(name, "").strip()

    data = Path(text("KW_DATA")).expanduser().resolve() if text("KW_DATA") else root / ".data"
    if data.exists() and not data.is_dir():
        raise CannotStart(f"KW_DATA 应是一个目录，现在 {data} 是一个文件。")

    raw_port = text("KW_PORT") or "8000"
    if not (raw_port.isascii() and raw_port.isdigit() and 1 <= int(raw_port) <= 65535):
        raise CannotStart(f"KW_PORT 应是 1 到 65535 之间的整数，现在是“{raw_port}”。")

    bind = text("KW_BIND") or "127.0.0.1"
    try:
        ipaddress.ip_address(bind)
    except ValueError:
        raise CannotStart(
            f"KW_BIND 应是本机的一个 IP 地址（如 0.0.0.0），现在是“{bind}”。"
        ) from None

    for name in ("DATABASE_URL", "KW_DATABASE_OWNER_URL"):
        if text(name):
            _check_url(name, text(name))
    if text("KW_DATABASE_OWNER_URL") and not text("DATABASE_URL"):
        raise CannotStart(
            "KW_DATABASE_OWNER_URL 只与 DATABASE_URL 一同使用；使用内置数据库时请删除该变量。"
        )

    programs = Path(text("KW_PG_BIN")).expanduser() if text("KW_PG_BIN") else None
    if programs is not None and not (programs / "postgres").is_file():
        raise CannotStart(f"KW_PG_BIN 应是含有 postgres 程序的目录，{programs} 中没有该程序。")

    demo = text("KW_DEMO").lower()
    if demo not in {"", "0", "1", "true", "false", "yes", "no", "on", "off"}:
        raise CannotStart(f"KW_DEMO 只能是 1 或 0，现在是“{demo}”。")

    return Wishes(
        root=root,
        data=data,
        bind=bind,
        port=int(raw_port),
        host=_host(text("KW_HOSTS")),
        database_url=text("DATABASE_URL"),
        owner_url=text("KW_DATABASE_OWNER_URL"),
        programs=programs,
        demo=demo in {"1", "true", "yes", "on"},
    )


def _host(names: str) -> str:
    """The first of KW_HOSTS, as a caller would write it (.example.cn means all below it)."""
    first = names.replace(",", " ").split()[:1]
    return first[0].removeprefix(".") if first and first[0] != "*" else "127.0.0.1"


def _check_url(name: str, url: str) -> None:
    form = f"{name} 应形如 postgresql://用户:口令@主机:5432/库名，只支持 PostgreSQL。"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is the check
    except ValueError:
        raise CannotStart(form) from None
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.lstrip("/"):
        raise CannotStart(form)
