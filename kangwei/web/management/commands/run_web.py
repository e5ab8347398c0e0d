"""The web server alone, for installations where systemd or containers do the watching."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "启动网页服务（不启动数据库与后台任务）。"
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        # A fresh program: this one has loaded the command line's needs, the server wants its own.
        os.execv(sys.executable, [sys.executable, "-m", "kangwei.web.serve"])
