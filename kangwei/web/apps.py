"""Start-up of the one place that knows every app."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "kangwei.web"
    label = "web"
    verbose_name = "康维"

    def ready(self) -> None:
        from django.conf import settings

        from kangwei.kernel.screens.registry import MenuItem, register_help, register_menu

        register_menu(
            MenuItem(group="系统", title="接口说明", url="interfaces", icon="api", order=70)
        )
        register_help(prefix="/interfaces/", chapter="开放接口")
        if settings.DEMO:
            from kangwei.web import world

            world.register()
