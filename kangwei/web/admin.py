"""Screens of other packages leave the back office: they know no data scope and no Chinese."""

import django.contrib.auth.admin  # noqa: F401  # registers what is removed below
import procrastinate.contrib.django.admin  # noqa: F401
from django.contrib import admin
from django.contrib.auth.models import Group
from procrastinate.contrib.django.models import ProcrastinateJob

for model in (Group, ProcrastinateJob):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
