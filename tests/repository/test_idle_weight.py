"""What rests weighs little: libraries of files and pictures are loaded where they are used."""

from __future__ import annotations

import os
import subprocess
import sys

#: Each costs 6 to 20 MB in web and worker alike, and most processes never write such a file.
HEAVY = (
    "docx", "docxtpl", "httpx", "lxml", "openpyxl", "py_mini_racer", "segno", "typst", "xlsxwriter",
)  # fmt: skip
LOAD = """
import sys, django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
print(",".join(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_a_process_at_rest_holds_no_heavy_library() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOAD, *HEAVY],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "kangwei.web.settings", "KW_TESTING": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == ""
