"""Start-up of screens (界面)."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class ScreensConfig(AppConfig):
    name = "kangwei.kernel.screens"
    label = "screens"
    verbose_name = "界面"
    default = True


class KwAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site as the default one, so that `@admin.register` finds it."""

    default_site = "kangwei.kernel.screens.site.KwAdminSite"
    default = False
