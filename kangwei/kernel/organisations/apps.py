"""Start-up of organisations (机构人员)."""

from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    name = "kangwei.kernel.organisations"
    label = "organisations"
    verbose_name = "机构人员"
