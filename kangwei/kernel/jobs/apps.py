"""Start-up of jobs (后台任务)."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "kangwei.kernel.jobs"
    label = "jobs"
    verbose_name = "后台任务"
