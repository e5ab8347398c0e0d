"""Start-up of evaluation (试算)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "kangwei.kernel.evaluation"
    label = "evaluation"
    verbose_name = "试算"

    def ready(self) -> None:
        from kangwei.kernel.api.registry import register_router
        from kangwei.kernel.audit import services as audit
        from kangwei.kernel.screens.registry import MenuItem, register_help, register_menu

        from .api import router
        from .registry import Engine, register_engine
        from .rules import workday

        audit.register_acts({"evaluation.tried": "试算"})
        register_router("/evaluate", router)
        register_menu(
            MenuItem(group="系统", title="试算", url="evaluation:trial", icon="calculate", order=60)
        )
        register_help(prefix="/evaluation/", chapter="试算")
        register_engine(
            Engine(
                name="workday",
                title="工作日",
                evaluate=_workday,
                example=workday.EXAMPLE,
                describe=workday.DESCRIBE,
            )
        )


def _workday(case: Mapping[str, Any]) -> Mapping[str, Any]:
    # The years that come with the product: what a site loaded lies in its database, which a
    # trial does not need. A case may bring its own arrangement along.
    from kangwei.kernel.calendar.queries import shipped

    from .rules import workday

    return workday.evaluate(case, shipped())
