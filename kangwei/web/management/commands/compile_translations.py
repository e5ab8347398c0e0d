"""`manage.py compile_translations`: writes django.mo from django.po without gettext's tools."""

from typing import Any

from django.core.management.base import BaseCommand

from kangwei.web import translations


class Command(BaseCommand):
    help = "把界面译文 django.po 编译为 django.mo"

    def handle(self, *args: Any, **options: Any) -> None:
        translations.COMPILED.write_bytes(translations.compile_catalogue())
        self.stdout.write("已写入 django.mo")
