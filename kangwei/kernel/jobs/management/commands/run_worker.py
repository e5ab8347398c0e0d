"""`manage.py run_worker`: the process that does background work (后台任务)."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from kangwei.kernel.jobs import worker


class Command(BaseCommand):
    help = "执行后台任务和定时任务。"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--threads", type=int, default=2, help="同时执行的任务数，默认 2")
        parser.add_argument("--one-shot", action="store_true", help="执行完已排队的任务后退出")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            worker.run(threads=max(1, options["threads"]), one_shot=options["one_shot"])
        except worker.LostDatabase:
            self.stderr.write("与数据库的连接中断，工作进程退出，等待重新启动。")
            sys.exit(1)
