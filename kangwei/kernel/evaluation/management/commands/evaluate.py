"""`manage.py evaluate ENGINE`: JSON Lines in, JSON Lines out; needs no database (试算)."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from kangwei.kernel.evaluation.registry import engines, find_engine
from kangwei.kernel.evaluation.rules import cases


class Command(BaseCommand):
    help = "从标准输入读取案例（每行一个 JSON），逐行输出试算结果。"
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("engine", metavar="ENGINE", help="引擎名称")

    def handle(self, *args: Any, **options: Any) -> None:
        engine = find_engine(options["engine"])
        if engine is None:
            known = "、".join(one.name for one in engines())
            self.stderr.write(f"没有名为“{options['engine']}”的试算引擎，可用的引擎：{known}。")
            sys.exit(2)
        # Bytes, not text: the answers are UTF-8 whatever the terminal's language is.
        out = sys.stdout.buffer
        try:
            for one in cases.answer_lines(engine.evaluate, sys.stdin.buffer):
                out.write(cases.encode(one) + b"\n")
                out.flush()
        except BrokenPipeError:
            # Whoever reads has seen enough. Python would complain once more when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
