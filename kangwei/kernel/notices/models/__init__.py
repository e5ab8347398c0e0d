"""Tables of notices (通知), in the order in which they explain each other."""

from kangwei.kernel.notices.models.channels import (
    Address,
    Channel,
    ChannelHealth,
    ChannelKind,
    ChannelPreference,
    Priority,
    QuietAction,
    QuietHours,
)
from kangwei.kernel.notices.models.duty import DutyRoster, RosterTurn, Substitution
from kangwei.kernel.notices.models.escalations import (
    Escalation,
    EscalationEvent,
    EscalationLevel,
    EscalationPolicy,
    EscalationTarget,
)
from kangwei.kernel.notices.models.ledger import Attempt, Delivery, DeliveryState, Notice, Why
from kangwei.kernel.notices.models.texts import TemplateVersion
from kangwei.kernel.notices.models.watch import Watch

__all__ = [
    "Address",
    "Attempt",
    "Channel",
    "ChannelHealth",
    "ChannelKind",
    "ChannelPreference",
    "Delivery",
    "DeliveryState",
    "DutyRoster",
    "Escalation",
    "EscalationEvent",
    "EscalationLevel",
    "EscalationPolicy",
    "EscalationTarget",
    "Notice",
    "Priority",
    "QuietAction",
    "QuietHours",
    "RosterTurn",
    "Substitution",
    "TemplateVersion",
    "Watch",
    "Why",
]
