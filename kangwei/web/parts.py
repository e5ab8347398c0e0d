"""What stands in the pages besides Python packages, and what has not met the real thing yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    name: str
    version: str
    licence: str
    note: str = ""


FRONT_END = [
    Part("htmx", "2.0.4", "0BSD", "页面局部刷新；随 django-unfold 提供"),
    Part("Alpine.js", "3.14.9", "MIT", "表单交互；随 django-unfold 提供"),
    Part("SimpleBar", "6.2.6", "MIT", "滚动条；随 django-unfold 提供"),
    Part("Material Symbols", "随包", "Apache-2.0", "图标字体；随 django-unfold 提供"),
    Part("Apache ECharts", "5.6.0", "Apache-2.0", "统计图"),
    Part("Noto Sans CJK", "随包", "OFL-1.1", "文档用中文字体；系统没有中文字体时使用"),
]

#: Drivers and outside systems that were only tried against stand-ins of ours.
UNPROVEN = [
    "钉钉、企业微信、飞书机器人的正式服务",
    "短信、语音网关的正式服务",
    "银河麒麟、统信操作系统上的整机安装",
    "鲲鹏、飞腾（aarch64）服务器上的整机安装",
    "硬件密码机、签名验签服务器",
]
