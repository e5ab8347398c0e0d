"""Reads the repository's own files for the checks of this folder."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that belongs to the repository, also those not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return tuple(ROOT / name for name in listed if (ROOT / name).is_file())


def modules(*, below: str, tests: bool = False) -> Iterator[tuple[str, ast.Module]]:
    """Python modules below a folder as (path, tree); tests are left out unless asked for."""
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(below) or path.suffix != ".py":
            continue
        if not tests and ("/tests/" in name or "/migrations/" in name):
            continue
        yield name, ast.parse(path.read_text(encoding="utf-8"))
