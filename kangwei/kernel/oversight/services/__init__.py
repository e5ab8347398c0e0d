"""Acts of oversight (督查)."""

from kangwei.kernel.oversight.services.campaigns import (
    CALL_UP_RUN,
    call_up,
    call_up_due,
    cancel_campaign,
    close_campaign,
    open_campaign,
)
from kangwei.kernel.oversight.services.decisions import (
    Change,
    NewGrant,
    Proof,
    confirm_in_bulk,
    decide,
    require_reviewer,
    signature_holds,
)
from kangwei.kernel.oversight.services.ledger import rebuild
from kangwei.kernel.oversight.services.searches import (
    delete_search,
    export_journal,
    save_search,
)
from kangwei.kernel.oversight.services.suspension import suspend_overdue

__all__ = [
    "CALL_UP_RUN",
    "Change",
    "NewGrant",
    "Proof",
    "call_up",
    "call_up_due",
    "cancel_campaign",
    "close_campaign",
    "confirm_in_bulk",
    "decide",
    "delete_search",
    "export_journal",
    "open_campaign",
    "rebuild",
    "require_reviewer",
    "save_search",
    "signature_holds",
    "suspend_overdue",
]
