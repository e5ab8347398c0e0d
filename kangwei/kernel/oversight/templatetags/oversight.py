"""Words for the journal's pages."""

from __future__ import annotations

from django import template

register = template.Library()

CHANNELS = {"web": "页面", "api": "接口", "job": "后台任务", "command": "命令行"}


@register.filter
def channel_word(channel: str) -> str:
    """From where an act came, in Chinese."""
    return CHANNELS.get(channel, channel)
