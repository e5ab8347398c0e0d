"""Start-up of calendar (工作日历)."""

from django.apps import AppConfig


class CalendarConfig(AppConfig):
    name = "kangwei.kernel.calendar"
    label = "calendar"
    verbose_name = "工作日历"
