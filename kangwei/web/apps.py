"""Start-up of the one place that knows every app."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "kangwei.web"
    label = "web"
    verbose_name = "康维"

    def ready(self) -> None:
        from django.conf import settings

        if settings.DEMO:
            from kangwei.web import world

            world.register()
