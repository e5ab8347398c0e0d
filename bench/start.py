"""From the command to the home page, again with the data in place, and what it costs at rest."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.frame import Figure
from tests.ground.house import House, house

TITLE = "clean start, second start, idle memory"
REST = 20.0


def measure() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="kangwei-bench-") as place,
        house(Path(place) / "data") as home,
    ):
        first = home.start(within=180)
        home.stop_in_order()
        second = home.start(within=180)
        time.sleep(REST)
        return [
            # The environment is in place already; the promise of 60 s includes making it.
            Figure("clean start to an answered request", first, "s", limit=45),
            Figure("second start", second, "s", limit=15, reference="first", reference_value=first),
            Figure("memory at rest, all processes", proportional_memory(home), "MB", limit=450),
        ]


def proportional_memory(home: House) -> float:
    """What the processes take together; a page shared by several counts once (PSS)."""
    total = 0
    for pid in home.everyone():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024
