"""The stage that checks and tests play on: what they need is installed, their database runs.

    python -m tests.stage check|test|prove|journey|bench [ARGUMENT …]

Called by run.py inside .venv. The database has a data directory of its own and skips fsync; it
is stopped by its process. What pytest says comes last.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kangwei.supervisor import database
from kangwei.supervisor.postgres import APPLICATION, OWNER, SUPERUSER, Cluster
from kangwei.supervisor.wishes import CannotStart

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".data-test"
PYTHON = sys.executable
CHECKS: dict[str, Sequence[str]] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "import directions": ("-c", "from importlinter.cli import lint_imports_command as c; c()"),
    "missing migrations": ("manage.py", "makemigrations", "--check", "--dry-run"),
    "mypy": ("-m", "mypy", "kangwei", "tests", "bench", "manage.py", "run.py"),
}


def check(environment: dict[str, str]) -> list[str]:
    """Run the checks side by side; answers the names of those that noticed something."""

    def one(name: str) -> bool:
        done = subprocess.run(
            [PYTHON, *CHECKS[name]],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        good = done.returncode == 0
        print(f"{name}: {'good' if good else 'FAILED'}", flush=True)
        if not good:
            print(done.stdout, flush=True)
        return good

    with ThreadPoolExecutor(max_workers=2) as pool:
        return [name for name, good in zip(CHECKS, pool.map(one, CHECKS), strict=True) if not good]


def pytest(environment: dict[str, str], *arguments: str) -> int:
    return subprocess.call([PYTHON, "-m", "pytest", *arguments], cwd=ROOT, env=environment)


@contextlib.contextmanager
def database_running() -> Iterator[dict[str, str]]:
    """Our own server under .data-test, and the environment that leads to it."""
    DATA.mkdir(exist_ok=True, mode=0o700)
    cluster = Cluster(DATA, durable=False)
    with cluster.running():
        database.prepare_own(cluster)
        yield {
            **os.environ,
            "KW_DATA": str(DATA),
            "KW_TESTING": "1",
            "DATABASE_URL": cluster.url(SUPERUSER),
        }


@contextlib.contextmanager
def fresh_site() -> Iterator[dict[str, str]]:
    """An empty site as in production: durable, the application in its own role."""
    data = ROOT / ".data-bench"
    cluster = Cluster(data)
    cluster.destroy()
    shutil.rmtree(data, ignore_errors=True)
    with cluster.running():
        database.prepare_own(cluster)
        environment = {
            **os.environ,
            "KW_DATA": str(data),
            "DATABASE_URL": cluster.url(APPLICATION),
            "KW_DATABASE_OWNER_URL": cluster.url(OWNER),
        }
        for command in ("migrate", "collectstatic"):
            subprocess.run(
                [PYTHON, "manage.py", command, "--noinput", "-v", "0"],
                cwd=ROOT,
                env=environment,
                check=True,
            )
        yield environment


def install_browser() -> None:
    """Debian's Chromium and a Chinese font. Without root the journeys say what is missing."""
    fonts = Path("/usr/share/fonts/opentype/noto")
    if shutil.which("chromium") and any(fonts.glob("NotoSansCJK*")):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = ["chromium", "fonts-noto-cjk"]
    with no_service_starts():
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(
                command,
                env=quiet,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode:
                print(done.stdout)
                print(f"{' '.join(command)} failed; the browser journeys will name what is missing")
                return


@contextlib.contextmanager
def no_service_starts() -> Iterator[None]:
    """Debian's hook that keeps a freshly installed package from starting services."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def main(kind: str, arguments: list[str]) -> int:
    if kind == "check":
        environment = {**os.environ, "KW_DATA": str(DATA), "KW_TESTING": "1"}
        failed = check(environment)
        code = pytest(environment, "--without-database", *arguments)
    elif kind == "bench":
        with fresh_site() as environment:
            command = [PYTHON, "-m", "bench", *arguments]
            failed, code = [], subprocess.call(command, cwd=ROOT, env=environment)
    else:
        install_browser()
        with database_running() as environment:
            match kind:
                case "test":
                    failed = check(environment)
                    code = pytest(environment, "-n", "2", "--dist", "loadfile", *arguments)
                case "prove":
                    environment["KW_PROVE"] = "1"
                    failed, code = [], pytest(environment, "-m", "prove", "-rP", *arguments)
                case "journey":
                    failed, code = [], pytest(environment, "-m", "journey", *arguments)
                case _:
                    raise SystemExit(f"unknown stage {kind}")
    if failed:
        print(f"Noticed before the tests: {', '.join(failed)}", file=sys.stderr)
    return code or int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except CannotStart as refusal:
        sys.exit(str(refusal))
