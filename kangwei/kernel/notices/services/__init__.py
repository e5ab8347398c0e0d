"""Acts of notices (通知): the door through which other apps tell people things."""

from kangwei.kernel.notices.registry import Template, Variable, register_template
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services.addresses import (
    add_address,
    ask_for_code,
    confirm_address,
    mark_read,
    remove_address,
    set_preferences,
    set_quiet_hours,
    verify_by_hand,
)
from kangwei.kernel.notices.services.channels import (
    edit_template,
    save_channel,
    save_watch,
    test_channel,
)
from kangwei.kernel.notices.services.duty import add_substitution, cancel_substitution, save_roster
from kangwei.kernel.notices.services.escalating import (
    acknowledge_escalation,
    start_escalation,
    stop_escalation,
    stop_escalations_of,
)
from kangwei.kernel.notices.services.notifying import notify, tell_directly
from kangwei.kernel.notices.services.policies import LevelSpec, save_policy
from kangwei.kernel.notices.services.sending import resend

__all__ = [
    "LevelSpec",
    "Target",
    "Template",
    "Variable",
    "acknowledge_escalation",
    "add_address",
    "add_substitution",
    "ask_for_code",
    "cancel_substitution",
    "confirm_address",
    "edit_template",
    "mark_read",
    "notify",
    "register_template",
    "remove_address",
    "resend",
    "save_channel",
    "save_policy",
    "save_roster",
    "save_watch",
    "set_preferences",
    "set_quiet_hours",
    "start_escalation",
    "stop_escalation",
    "stop_escalations_of",
    "tell_directly",
    "test_channel",
    "verify_by_hand",
]
