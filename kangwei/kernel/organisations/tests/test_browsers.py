"""A session's browser in words a person recognises."""

from __future__ import annotations

import pytest

from kangwei.kernel.organisations.rules.browsers import browser_of

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (f"{CHROME}126.0.0.0 Safari/537.36", "Chrome 126 · Windows"),
        (f"{CHROME}126.0.0.0 Safari/537.36 Edg/126.0.0.0", "Edge 126 · Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
         "Firefox 128 · Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " Version/17.5 Safari/605.1.15", "Safari 17 · macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
         " Gecko) Mobile/15E148 MicroMessenger/8.0.49", "微信 8 · iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
         "IE 11 · Windows"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_imitator_is_told_from_the_imitated(agent: str, words: str) -> None:
    assert browser_of(agent) == words
