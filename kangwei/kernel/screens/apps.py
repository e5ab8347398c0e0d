"""Start-up of screens (界面)."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class ScreensConfig(AppConfig):
    name = "kangwei.kernel.screens"
    label = "screens"
    verbose_name = "界面"
    default = True

    def ready(self) -> None:
        from kangwei.kernel.audit import services as audit
        from kangwei.kernel.screens import views
        from kangwei.kernel.screens.models import Preference
        from kangwei.kernel.screens.registry import (
            MenuItem,
            SearchSource,
            register_help,
            register_menu,
            register_search,
        )

        audit.exempt(Preference, reason="个人界面习惯，不是业务数据")
        register_menu(MenuItem("工作台", "首页", "home", icon="home", order=0))
        register_search(
            SearchSource("功能菜单", views.find_menu, order=0, icon="menu"),
            SearchSource("使用手册", views.find_guides, order=900, icon="menu_book"),
        )
        register_help(prefix="/", chapter="界面与快捷键")


class KwAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site as the default one, so that `@admin.register` finds it."""

    default_site = "kangwei.kernel.screens.site.KwAdminSite"
    default = False
