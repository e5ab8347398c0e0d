"""The acts of reporting: run, keep, export, freeze, subscribe; make, write, seal documents."""

from ..registry import register_document, register_report, register_source
from .documents import (
    correct_document,
    discard_draft,
    generate_document,
    refresh_draft,
    release_copy,
    seal_version,
    write_text,
)
from .exporting import Exported, export_comparison, export_details, export_result, print_result
from .plans import (
    cancel_subscription,
    carry_out_plans,
    carry_out_subscriptions,
    plan_snapshots,
    start_offered_plan,
    stop_plan,
    subscribe,
)
from .running import (
    drill,
    forget_expired,
    keep_result,
    run_and_keep,
    run_report,
    start_long_report,
)
from .snapshots import compare_results, freeze
from .templates import upload_template

__all__ = [
    "Exported",
    "cancel_subscription",
    "carry_out_plans",
    "carry_out_subscriptions",
    "compare_results",
    "correct_document",
    "discard_draft",
    "drill",
    "export_comparison",
    "export_details",
    "export_result",
    "forget_expired",
    "freeze",
    "generate_document",
    "keep_result",
    "plan_snapshots",
    "print_result",
    "refresh_draft",
    "register_document",
    "register_report",
    "register_source",
    "release_copy",
    "run_and_keep",
    "run_report",
    "seal_version",
    "start_long_report",
    "start_offered_plan",
    "stop_plan",
    "subscribe",
    "upload_template",
    "write_text",
]
