"""The demonstration world (演示数据): a believable province, told from a seed through services."""


def register() -> None:
    """Called at start-up, in demonstration mode only."""
    from kangwei.kernel import demonstration
    from kangwei.kernel.jobs.registry import register_run_kind
    from kangwei.kernel.screens.registry import Card, register_card
    from kangwei.web.world import accounts, card, telling
    from kangwei.web.world.chapters import people

    demonstration.show_accounts(*accounts.shown())
    demonstration.register_chapter(
        demonstration.Chapter(key="people", title="机构与人员", order=10, tell=people.tell)
    )
    register_run_kind(kind=telling.RUN_KIND, title=telling.TITLE, work=telling.fill)
    register_card(
        Card(
            key="world",
            title="演示数据",
            render=card.render,
            order=1,
            size="large",
            icon="public",
        )
    )
