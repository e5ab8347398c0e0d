"""`manage.py run_clerk`: the clerk alone, for installations that run each program by itself."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from kangwei.kernel.audit.clerk import Clerk


class Command(BaseCommand):
    help = "记账员：为审计日志入链并定时签署锚点；通常由后台任务进程代劳，也可单独运行。"

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Clerk().run(stop)
