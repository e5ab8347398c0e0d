"""Start-up of oversight (督查)."""

from django.apps import AppConfig


class OversightConfig(AppConfig):
    name = "kangwei.kernel.oversight"
    label = "oversight"
    verbose_name = "督查"
