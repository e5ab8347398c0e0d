"""Start-up of api (开放接口)."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "kangwei.kernel.api"
    label = "api"
    verbose_name = "开放接口"
