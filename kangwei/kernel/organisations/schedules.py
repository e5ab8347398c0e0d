"""What organisations does by itself: the tree follows planned moves, stale sessions go."""

from __future__ import annotations

from datetime import datetime

from kangwei.kernel.jobs.registry import schedule
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.services.sessions import clear_stale_sessions


@schedule(name="organisations.follow_tree", title="机构隶属到期生效", cron="5 0 * * *")
def follow_tree(at: datetime) -> str:
    """Moves planned for today take effect in the kept tree."""
    return f"修正 {services.rebuild_closure(at=at)} 行"


@schedule(name="organisations.clear_sessions", title="清理过期会话", cron="35 3 * * *")
def clear_sessions(at: datetime) -> str:
    return f"清理 {clear_stale_sessions(at)} 个"
