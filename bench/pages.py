"""What a page costs the server: a list of 20 rows, a page of our own, the home page."""

from __future__ import annotations

from bench.frame import Figure, cpu_milliseconds
from bench.world import open_site

TITLE = "CPU of pages"
#: stack.md, section 5: a list of 20 rows and a page of our own.
LIST_LIMIT, OWN_LIMIT = 80.0, 40.0


def measure() -> list[Figure]:
    site = open_site()
    from django.test import override_settings

    from kangwei.kernel.organisations.tests import make

    with override_settings(ALLOWED_HOSTS=["testserver"]):
        client = make.client(site.account)

        def cost(path: str) -> float:
            def call() -> None:
                answer = client.get(path)
                assert answer.status_code == 200, (
                    f"{path}: {answer.status_code} {answer.headers.get('Location')}"
                )

            return cpu_milliseconds(call)

        trivial = cost("/healthz")
        return [
            Figure(title, cost(path), "ms", limit, False, "/healthz", trivial)
            for title, path, limit in (
                ("list of 20 staff", "/manage/organisations/staff/", LIST_LIMIT),
                ("home page", "/", OWN_LIMIT),
                ("about page", "/about/", OWN_LIMIT),
            )
        ]
