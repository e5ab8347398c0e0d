"""`{% load once %}{% once %}` inside a form: the hidden token by which it acts only once."""

from __future__ import annotations

import secrets

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def once() -> SafeString:
    return format_html('<input type="hidden" name="_once" value="{}">', secrets.token_urlsafe(18))
