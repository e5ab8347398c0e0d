"""Start-up of oversight (督查)."""

from django.apps import AppConfig


class OversightConfig(AppConfig):
    name = "kangwei.kernel.oversight"
    label = "oversight"
    verbose_name = "督查"

    def ready(self) -> None:
        from kangwei.kernel.audit import services as audit
        from kangwei.kernel.notices import services as notices
        from kangwei.kernel.organisations.services import register_role_rights

        from . import tasks
        from .acts import ACTS, REMINDER
        from .models import ReviewCampaign, ReviewEvent, ReviewItem, SavedSearch
        from .rights import ROLE_RIGHTS

        audit.register_acts(ACTS)
        for model in (ReviewCampaign, ReviewEvent, SavedSearch):
            audit.journal(model)
        # The signed texts and snapshots are in the ledger's rows already.
        audit.journal(ReviewItem, hidden=("snapshot", "decided_snapshot", "signed_text"))
        notices.register_template(REMINDER)
        register_role_rights(ROLE_RIGHTS)
        tasks.register_runs()
