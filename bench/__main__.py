"""Runs the benches: `make bench`, or `make bench ARGS="pages start"` for some of them.

Each bench is a module here with a TITLE and a `measure()` that answers its figures. Those that
need records find them in a database of their own, filled with the demonstration world.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import subprocess
import sys
from pathlib import Path

import bench

ROOT = Path(__file__).resolve().parent.parent
FRAME = {"__main__", "frame", "world"}


def available() -> list[str]:
    return sorted(
        module.name for module in pkgutil.iter_modules(bench.__path__) if module.name not in FRAME
    )


def run(name: str) -> bool:
    """Measure one bench in a process of its own; a promise not kept is False."""
    return subprocess.call([sys.executable, "-m", "bench", "--one", name], cwd=ROOT) == 0


def one(name: str) -> int:
    module = importlib.import_module(f"bench.{name}")
    print(f"\n{name}: {module.TITLE}", flush=True)
    kept = True
    for figure in module.measure():
        print(figure.line(), flush=True)
        kept = kept and figure.kept
    return 0 if kept else 1


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--one"]:
        return one(arguments[1])
    wanted = arguments or available()
    unknown = sorted(set(wanted) - set(available()))
    if unknown:
        print(f"No bench named {', '.join(unknown)}; there are {', '.join(available())}.")
        return 2
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    not_kept = [name for name in wanted if not run(name)]
    print(f"\nNot kept: {', '.join(not_kept)}" if not_kept else "\nEvery promise kept.")
    return 1 if not_kept else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
