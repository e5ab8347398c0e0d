"""Re-opening a frozen report of 20,000 rows, digest and signature checked."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from bench.frame import Figure, wall_milliseconds
from bench.world import open_site

TITLE = "frozen report of 20,000 rows"
ROWS = 20_000


def measure() -> list[Figure]:
    site = open_site()
    from bench.reporting_files import wide_report
    from kangwei.kernel.reporting import queries, registry
    from kangwei.kernel.reporting.models import Snapshot
    from kangwei.kernel.reporting.services.running import run_and_keep
    from kangwei.kernel.reporting.services.snapshots import compare_results, freeze

    report = wide_report(ROWS)
    if registry.find_report(report.code) is None:
        registry.register_report(report)
    at = datetime.now(UTC)
    kept = run_and_keep(report=report, parameters={}, by=site.account, at=at)
    made = freeze(report=report, kept=kept, by=site.account, at=at)

    def reopen() -> None:
        opened = queries.open_snapshot(Snapshot.objects.get(pk=made.pk))
        if not opened.verified or len(opened.result.rows) != ROWS:
            raise AssertionError("the snapshot is not what was frozen")

    text = json.dumps([[str(cell) for cell in row] for row in kept.result.rows])
    plain = wall_milliseconds(lambda: json.loads(text), times=5, warm=1)
    return [
        Figure(
            "re-open and verify a frozen report",
            wall_milliseconds(reopen, times=5, warm=1),
            "ms",
            limit=1000,
            reference="json.loads of the same cells",
            reference_value=plain,
        ),
        Figure(
            "compare it cell by cell with another",
            wall_milliseconds(lambda: compare_results(kept.result, kept.result), times=3, warm=1),
            "ms",
        ),
    ]
