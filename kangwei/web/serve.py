"""The web server: granian under WSGI, two processes.

The application is loaded once and then forked, which halves the start and shares the memory.
Each worker is on its parent's leash, so that a killed server leaves none behind. Started by the
supervisor, or alone as `manage.py run_web`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from kangwei.supervisor import leash
from kangwei.supervisor.wishes import Wishes, read

WORKERS = 2
#: granian's own default makes pages slow: dozens of threads then wait for one interpreter lock.
THREADS = 3


def serve(wishes: Wishes) -> None:
    from kangwei.web.wsgi import application

    parent = os.getpid()

    def load_in_worker(_target: str) -> Any:
        leash.hold(parent, signal.SIGKILL)
        return application

    _forget_connections()
    MPServer(
        "kangwei.web.wsgi:application",
        address=wishes.bind,
        port=wishes.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=WORKERS,
        blocking_threads=THREADS,
        backlog=1024,
        backpressure=64,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=4,
    ).serve(target_loader=load_in_worker)


def _forget_connections() -> None:
    """A connection opened while loading must not be shared by two processes."""
    from django.db import connections

    connections.close_all()


def main() -> None:
    serve(read(os.environ, Path(__file__).resolve().parent.parent.parent))


if __name__ == "__main__":
    main()
