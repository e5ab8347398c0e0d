"""`manage.py fill_world`: tell the demonstration world, here or in the worker."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.refusals import Refusal
from kangwei.web.world import telling

#: A watcher gives up after this: the worker goes on, and the home page shows how far it is.
PATIENCE = 600.0


class Command(BaseCommand):
    help = "填充演示数据；可重复执行，中断后继续，仅演示模式可用"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=telling.DEFAULT_SEED, help="随机种子")
        parser.add_argument("--enqueue", action="store_true", help="交给后台进程执行，首页显示进度")
        parser.add_argument("--watch", action="store_true", help="显示后台填充的进度直到完成")

    def handle(self, *, seed: int, enqueue: bool, watch: bool, **options: Any) -> None:
        try:
            telling.require_demonstration()
            with audit.origin(channel="command"):
                if enqueue:
                    self.enqueue(seed)
                elif not watch:
                    self.tell(seed)
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        if watch:
            self.watch()

    def tell(self, seed: int) -> None:
        said = ""

        def progress(done: int, total: int, note: str = "") -> None:
            nonlocal said
            line = f"{done * 100 // total if total else 0:>3}%　{note}"
            if line != said:
                self.stdout.write(line)
                said = line

        started = time.monotonic()
        telling.tell_world(seed=seed, at=clock.now(), progress=progress)
        self.stdout.write(f"演示数据填充完成，用时 {time.monotonic() - started:.0f} 秒。")

    @transaction.atomic
    def enqueue(self, seed: int) -> None:
        known = Run.objects.filter(kind=telling.RUN_KIND).exclude(
            state__in=[Run.State.FAILED, Run.State.CANCELLED]
        )
        if known.exists():
            telling.settle(at=clock.now())
            self.stdout.write("演示数据已填充或正在填充。")
            return
        at = clock.now()
        start_run(
            kind=telling.RUN_KIND,
            title=telling.TITLE,
            by=None,
            at=at,
            arguments={"seed": seed, "at": at.isoformat()},
        )
        self.stdout.write("演示数据开始在后台填充，首页可查看进度。")

    def watch(self) -> None:
        ends = time.monotonic() + PATIENCE
        said = ""
        while time.monotonic() < ends:
            run = Run.objects.filter(kind=telling.RUN_KIND).order_by("-pk").first()
            if run is None:
                raise CommandError("没有正在填充的演示数据；请先执行 fill_world --enqueue。")
            line = f"演示数据 {run.percent or 0:>3}%　{run.note}".rstrip("　 ")
            if run.is_open and line != said:
                self.stdout.write(line)
                self.stdout.flush()
                said = line
            if run.state == Run.State.DONE:
                self.stdout.write("演示数据已就绪。")
                return
            if not run.is_open:
                raise CommandError(
                    f"演示数据填充{run.get_state_display()}：{run.error or '无说明'}"
                )
            time.sleep(1)
        self.stdout.write("演示数据仍在后台填充，首页可查看进度。")
