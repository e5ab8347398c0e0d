"""Tells the demonstration world chapter by chapter (演示数据的填充).

Each chapter draws from a random source of its own, seeded by the world's seed and its key, so that
a chapter added later leaves the others as they were. A chapter looks first for what it wants to
make, so telling twice changes nothing and a killed worker simply tells again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any

from django.conf import settings

from kangwei.kernel import clock, demonstration
from kangwei.kernel.demonstration import Progress
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.refusals import Refusal

RUN_KIND = "world.fill"
TITLE = "填充演示数据"
DEFAULT_SEED = 20261120
#: A chapter is this many steps of the whole bar, however long it is inside.
STEPS = 100


class OnlyInDemonstration(Refusal):
    """Demonstration data would stand among real data."""

    code = "world.only_in_demonstration"
    title = "仅演示模式可用"


def require_demonstration() -> None:
    if not settings.DEMO:
        raise OnlyInDemonstration(
            "演示数据只能在演示模式下填充；请设置 KW_DEMO=1 后重新启动。"
            "正式环境请使用 manage.py setup。"
        )


def tell_world(*, seed: int, at: datetime, progress: Progress) -> list[str]:
    """Tell every registered chapter in order; answers their titles."""
    require_demonstration()
    chapters = demonstration.chapters()
    whole = len(chapters) * STEPS
    for position, chapter in enumerate(chapters):
        start = position * STEPS

        def within(
            done: int, total: int, note: str = "", start: int = start, title: str = chapter.title
        ) -> None:
            share = start + (STEPS * min(done, total) // total if total else 0)
            progress(share, whole, f"{title}：{note}" if note else title)

        within(0, 1)
        chapter.tell(Random(f"{seed}:{chapter.key}"), at, within)  # noqa: S311  # a story, no secret
    progress(whole, whole, "完成")
    return [chapter.title for chapter in chapters]


def settle(*, at: datetime) -> None:
    """The site starts on a world already told: what depends on where it runs is put right."""
    for chapter in demonstration.chapters():
        if chapter.settle is not None:
            chapter.settle(at)


def fill(run: Run) -> Mapping[str, Any]:
    """The long run behind the page: the moment of the world is kept, so a resumed run agrees."""
    at = datetime.fromisoformat(run.arguments["at"])
    seed = int(run.arguments.get("seed", DEFAULT_SEED))
    told = tell_world(seed=seed, at=at, progress=run.progress)
    return {"chapters": told, "seed": seed, "finished_at": clock.now().isoformat()}
