"""Start-up of organisations (机构人员)."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OrganisationsConfig(AppConfig):
    name = "kangwei.kernel.organisations"
    label = "organisations"
    verbose_name = "机构人员"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from kangwei.kernel.api.registry import register_router
        from kangwei.kernel.jobs.registry import register_run_kind
        from kangwei.kernel.organisations import acts, api, face, me_api, schedules  # noqa: F401
        from kangwei.kernel.organisations.services import importing
        from kangwei.kernel.organisations.signals import note_session

        acts.register()
        register_run_kind(kind=importing.RUN_KIND, title="批量导入", work=importing.work_import)
        face.register()
        register_router("/organisations", api.router)
        register_router("/me", me_api.router)
        # The sign-in journal says when; a column changed under no act would look like a break-in.
        user_logged_in.disconnect(dispatch_uid="update_last_login")
        user_logged_in.connect(note_session, dispatch_uid="organisations.note_session")
        # Runs after every app's migrate, so that rights of apps above arrive in the roles too.
        post_migrate.connect(_fill_tables, dispatch_uid="organisations.fill_tables")


def _fill_tables(app_config: AppConfig, **_: Any) -> None:
    """After the last app: its permissions exist by then."""
    from django.apps import apps

    from kangwei.kernel import clock
    from kangwei.kernel.audit import services as audit
    from kangwei.kernel.organisations import builtin

    if app_config.name == list(apps.get_app_configs())[-1].name:
        with audit.origin(channel="command"):
            builtin.fill_tables(at=clock.now())
