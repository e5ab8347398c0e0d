"""Which browser on which system (浏览器), read from what it says of itself.

People look for a machine they do not know among their sessions; the long text a browser sends hides
that. Nothing is decided by it: anybody can send any text.
"""

from __future__ import annotations

import re

#: Whoever imitates comes before the one imitated: Edge and 360 also call themselves Chrome.
BROWSERS = (
    (r"MicroMessenger/(\d+)", "微信"),
    (r"DingTalk/(\d+)", "钉钉"),
    (r"Edg(?:A|iOS)?/(\d+)", "Edge"),
    (r"QQBrowser/(\d+)", "QQ 浏览器"),
    (r"(?:360SE|360EE|QIHU)[ /]?(\d*)", "360 浏览器"),
    (r"Firefox/(\d+)", "Firefox"),
    (r"(?:Headless)?Chrome/(\d+)", "Chrome"),
    (r"Version/(\d+)\S* (?:Mobile/\S+ )?Safari/", "Safari"),
    (r"Trident/.*rv:(\d+)|MSIE (\d+)", "IE"),
)
SYSTEMS = (
    ("HarmonyOS", "鸿蒙"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser_of(agent: str) -> str:
    """`Chrome 126 · Windows`; a program that is no browser keeps its first word."""
    browser = next(
        (
            f"{name} {version}".strip()
            for pattern, name in BROWSERS
            if (found := re.search(pattern, agent))
            for version in ["".join(part or "" for part in found.groups())]
        ),
        "",
    )
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return " · ".join(filter(None, (browser, system))) or agent[:40].split(" ")[0]
