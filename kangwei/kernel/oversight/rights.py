"""What the built-in roles may do in oversight. Whoever reviews stands above whom he reviews."""

REVIEWER = (
    "oversight.view_reviewcampaign",
    "oversight.manage_campaign",
    "oversight.review_accounts",
)
ROLE_RIGHTS: dict[str, tuple[str, ...]] = {
    "province_admin": REVIEWER,
    "city_admin": REVIEWER,
    "county_admin": REVIEWER,
    # Own institution only: he sees how the review of his people stands, and decides about nobody.
    "institution_admin": ("oversight.view_reviewcampaign",),
    "security_admin": ("oversight.view_reviewcampaign",),
    "auditor": (
        "oversight.view_reviewcampaign",
        "audit.view_entry",
        "audit.export_entry",
        "audit.verify_journal",
        "jobs.view_schedule",
        "jobs.view_all_runs",
    ),
    "system_admin": ("jobs.view_schedule", "jobs.manage_schedule", "jobs.view_all_runs"),
    "customer": ("oversight.view_reviewcampaign",),
}
