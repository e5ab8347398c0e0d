"""Start-up of oversight (督查)."""

from django.apps import AppConfig


class OversightConfig(AppConfig):
    name = "kangwei.kernel.oversight"
    label = "oversight"
    verbose_name = "督查"

    def ready(self) -> None:
        from kangwei.kernel.api.registry import register_router
        from kangwei.kernel.audit import services as audit
        from kangwei.kernel.notices import services as notices
        from kangwei.kernel.organisations.services import register_role_rights
        from kangwei.kernel.reporting.declarations import register_document, register_report

        # Schedules and runs register themselves when their module is read.
        from . import (  # noqa: F401
            api,
            chapter,
            housekeeping,
            jobs_api,
            key_pages,
            reports,
            schedules,
            shell,
            tasks,
            upkeep,
            upkeep_api,
        )
        from .acts import ACTS, REMINDER
        from .models import ReviewCampaign, ReviewEvent, ReviewItem, SavedSearch
        from .rights import ROLE_RIGHTS

        audit.register_acts(ACTS)
        audit.register_acts(upkeep.ACTS)
        for model in (ReviewCampaign, ReviewEvent, SavedSearch):
            audit.journal(model)
        # The signed texts and snapshots are in the ledger's rows already.
        audit.journal(ReviewItem, hidden=("snapshot", "decided_snapshot", "signed_text"))
        notices.register_template(REMINDER)
        notices.register_template(schedules.JOURNAL_BROKEN)
        notices.register_template(schedules.YEAR_MISSING)
        notices.register_template(schedules.SCHEDULE_FAULTS)
        register_role_rights(ROLE_RIGHTS)
        tasks.register_runs()
        key_pages.register_runs()
        register_router("/jobs", jobs_api.router)
        register_router("/oversight", api.router)
        register_router("/calendar", upkeep_api.calendar_router)
        register_router("/keys", upkeep_api.key_router)
        register_report(*reports.REPORTS)
        register_document(reports.MONTHLY)
        shell.register()
        chapter.register()
