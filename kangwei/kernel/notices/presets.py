"""Descriptions of common SMS and voice providers (服务商预设), none tried against the real one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "sms_providers.json"


@cache
def presets() -> tuple[dict[str, Any], ...]:
    content: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
    return tuple(content["providers"])
