"""One call of the API, served as it is in production, beside the same answer by bare Starlette."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path

from bench.frame import Figure, wall_milliseconds
from bench.world import open_site
from tests.ground.house import ROOT, free_port, until

TITLE = "a call of the API against a bare Starlette call"
CALLS = 300
PATH = "/api/v1/organisations/staff?page=1&size=20"
BARE = """
import sys, json
from granian import Granian
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
content = json.load(open(sys.argv[2]))
app = Starlette(routes=[Route("/bare", lambda request: JSONResponse(content))])
Granian("x", port=int(sys.argv[1]), interface="asginl", workers=1, log_enabled=False).serve(
    target_loader=lambda _: app
)
"""


def measure() -> list[Figure]:
    site = open_site()
    headers = {"Authorization": f"Bearer {site.key}"}
    ours, answer = _served(["-m", "kangwei.web.serve"], PATH, headers)
    note = Path(os.environ["KW_DATA"]) / "bare.json"
    note.write_bytes(answer)
    health, _ = _served(["-m", "kangwei.web.serve"], "/healthz", {})
    bare, _ = _served(["-c", BARE, "{port}", str(note)], "/bare", {})
    return [
        Figure("20 staff over the API, CPU", ours[0], "ms", None, False, "bare", bare[0]),
        Figure("20 staff over the API, on the wall", ours[1], "ms", None, False, "bare", bare[1]),
        Figure("/healthz, CPU", health[0], "ms", None, False, "bare", bare[0]),
        Figure("the same JSON by bare Starlette, CPU", bare[0], "ms"),
    ]


def _served(
    arguments: list[str], path: str, headers: dict[str, str]
) -> tuple[tuple[float, float], bytes]:
    """CPU of the server's processes and time on the wall for one call, and the last answer."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, *(argument.format(port=port) for argument in arguments)]
        if "{port}" in arguments
        else [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "KW_PORT": str(port)},
        process_group=0,
    )
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

        def call() -> bytes:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
            return content

        def answers() -> bool:
            try:
                call()
            except OSError:
                connection.close()
                return False
            return True

        until(answers, 60)
        before = _cpu(server.pid)
        wall = wall_milliseconds(call, times=CALLS, warm=20)
        spent = (_cpu(server.pid) - before) / (CALLS + 20) * 1000
        return (spent, wall), call()
    finally:
        server.terminate()
        server.wait(15)


def _cpu(parent: int) -> float:
    """Seconds of CPU that a process and its children have used."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(entry.name) == parent or int(fields[1]) == parent:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
