"""Reads settings from the environment; each wrong value is one sentence naming its variable."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_HOST = re.compile(r"^\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^\[[0-9a-fA-F:.]+\]$")
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


@dataclass(frozen=True)
class Secrets:
    """Keys that the first start creates in a file of mode 600 and never shows."""

    django: str
    master: bytes


class Environment:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, default).strip()

    def flag(self, name: str, default: bool) -> bool:
        raw = self._values.get(name)
        if raw is None:
            return default
        if raw.strip().lower() in TRUE:
            return True
        if raw.strip().lower() in FALSE:
            return False
        raise ImproperlyConfigured(f"{name} 只能是 1 或 0，现在是“{raw}”。")

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        raw = self.text(name)
        if not raw:
            return default
        if not raw.isdigit() or not low <= int(raw) <= high:
            raise ImproperlyConfigured(f"{name} 应是 {low} 到 {high} 之间的整数，现在是“{raw}”。")
        return int(raw)

    def choice(self, name: str, default: str, allowed: set[str]) -> str:
        raw = self.text(name, default).lower() or default
        if raw not in allowed:
            raise ImproperlyConfigured(
                f"{name} 只能是 {'、'.join(sorted(allowed))} 之一，现在是“{raw}”。"
            )
        return raw

    def path(self, name: str, default: Path) -> Path:
        raw = self.text(name)
        return Path(raw).expanduser().resolve() if raw else default

    def words(self, name: str) -> list[str]:
        return [word for word in self.text(name).replace(",", " ").split() if word]

    def hosts(self, name: str) -> list[str]:
        """Names or addresses without scheme and port; `*` would switch the host check off."""
        hosts = self.words(name)
        for host in hosts:
            if not _HOST.match(host):
                raise ImproperlyConfigured(
                    f"{name} 应是主机名或地址，如 kw.example.org 或 10.1.2.3，"
                    f"不带协议、端口和通配符 *，现在有“{host}”。"
                )
        return hosts

    def networks(self, name: str) -> list[str]:
        networks = self.words(name)
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ImproperlyConfigured(
                    f"{name} 应是代理的地址或网段，如 10.1.2.3 或 10.1.2.0/24，现在有“{network}”。"
                ) from None
        return networks

    def clock(self, name: str, *, allowed: bool) -> str:
        from kangwei.kernel.clock import parse_clock

        raw = self.text(name)
        if not raw:
            return ""
        if not allowed:
            raise ImproperlyConfigured(f"{name} 只能在演示或测试方式下使用，正式环境请删除该变量。")
        try:
            parse_clock(raw)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} 应形如 2026-02-12T10:00:00+08:00 或 +3d，现在是“{raw}”。"
            ) from None
        return raw

    def database(self, name: str, data_dir: Path) -> dict[str, Any]:
        """The application's database: DATABASE_URL, else the one our supervisor keeps."""
        url = self.text(name) or self._written(data_dir / "database-url")
        if not url:
            url = f"postgresql://kangwei@/kangwei?host={data_dir}"
        return parse_database_url(name, url)

    def owner_database(self, data_dir: Path) -> dict[str, Any] | None:
        """The owner of the tables, for migrations only."""
        name = "KW_DATABASE_OWNER_URL"
        url = self.text(name)
        if not url and not self.text("DATABASE_URL"):
            url = self._written(data_dir / "database-owner-url")
        return parse_database_url(name, url) if url else None

    @staticmethod
    def _written(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (FileNotFoundError, PermissionError):
            return ""

    def secrets(self, data_dir: Path, *, ephemeral: bool) -> Secrets:
        if ephemeral:
            return Secrets(django="test-only-" + "k" * 50, master=bytes(range(32)))
        path = self.path("KW_SECRETS_FILE", data_dir / "secrets.json")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = {"django": secrets.token_urlsafe(50), "master": secrets.token_hex(32)}
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                pass  # another process of ours was first; its file counts
            else:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(fresh, file)
        if path.stat().st_mode & 0o077:
            raise ImproperlyConfigured(
                f"KW_SECRETS_FILE 指向的密钥文件 {path} 权限过宽，请执行 chmod 600 后重新启动。"
            )
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return Secrets(django=stored["django"], master=bytes.fromhex(stored["master"]))
        except (ValueError, KeyError, TypeError):
            raise ImproperlyConfigured(
                f"KW_SECRETS_FILE 指向的密钥文件 {path} 内容不完整，请从备份恢复。"
            ) from None


def parse_database_url(name: str, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    database = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgresql", "postgres"} or not database:
        raise ImproperlyConfigured(
            f"{name} 应形如 postgresql://用户:口令@主机:5432/库名，只支持 PostgreSQL。"
        )
    options = dict(parse_qsl(parts.query))
    try:
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured(f"{name} 中的端口不是数字。") from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(port or options.pop("port", "")),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
        "TEST": {"NAME": os.environ.get("KW_TEST_DB", f"test_{database}")},
    }
