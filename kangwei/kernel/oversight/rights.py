"""What the built-in roles may do in oversight. Whoever reviews stands above whom he reviews."""

REVIEWER = (
    "oversight.view_reviewcampaign",
    "oversight.manage_campaign",
    "oversight.review_accounts",
)
ROLE_RIGHTS: dict[str, tuple[str, ...]] = {
    "province_admin": (
        *REVIEWER,
        "notices.view_delivery",
        "calendar.view_arrangement",
        "api.use_api_keys",
    ),
    # Each holds what the one below holds: nobody appoints to more than he has himself.
    "city_admin": (*REVIEWER, "notices.view_delivery", "api.use_api_keys"),
    "county_admin": (*REVIEWER, "api.use_api_keys"),
    # Own institution only: he sees how the review of his people stands, and decides about nobody.
    "institution_admin": ("oversight.view_reviewcampaign", "api.use_api_keys"),
    "security_admin": (
        "oversight.view_reviewcampaign",
        "audit.verify_journal",
        "crypto.view_key",
        "crypto.rotate_key",
    ),
    "auditor": (
        "oversight.view_reviewcampaign",
        "notices.view_delivery",
        "audit.view_entry",
        "audit.export_entry",
        "audit.verify_journal",
        "calendar.view_arrangement",
        "crypto.view_key",
        "jobs.view_schedule",
        "jobs.view_all_runs",
    ),
    # Whoever keeps the platform running: its background work, its programs, its figures.
    "system_admin": (
        "jobs.view_schedule",
        "jobs.manage_schedule",
        "jobs.view_all_runs",
        "jobs.cancel_any_run",
        "api.use_api_keys",
        "api.manage_api_keys",
        "api.view_metrics",
        "calendar.view_arrangement",
        "calendar.manage_calendar",
    ),
    "customer": ("oversight.view_reviewcampaign",),
}
