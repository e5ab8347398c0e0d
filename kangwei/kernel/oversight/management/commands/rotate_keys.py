"""`manage.py rotate_keys`: a new field key, and everything brought under it."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from kangwei.kernel import clock
from kangwei.kernel.oversight import upkeep


class Command(BaseCommand):
    help = "轮换字段密钥并分批重新加密；中断后以 --continue 继续。"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--continue", dest="go_on", action="store_true", help="不换新密钥，继续上次的重新加密"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        at = clock.now()
        if not options["go_on"]:
            key = upkeep.new_field_key(by=None, at=at)
            self.stdout.write(f"已启用新密钥 {key.kid}。")

        def tell(done: int, note: str) -> None:
            self.stdout.write(f"已重新加密 {done} 个值（{note}）")

        done = upkeep.reencrypt(by=None, at=at, progress=tell)
        self.stdout.write(f"完成，共重新加密 {done.values} 个值。")
        for title in done.left:
            self.stdout.write(f"提示：{title} 属于只追加的流水，保留原密钥，旧密钥不可删除。")
