"""The supervisor under fault: whatever is killed comes back, and when it dies nothing stays.

One house for the whole file: the tests walk through its life in order.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.ground.house import House, house, until

pytestmark = pytest.mark.process
WEB, WORKER, DATABASE = "kangwei.web.serve", "run_worker", "bin/postgres -D"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house") / "data") as home:
        home.start()
        yield home


def test_the_start_ends_with_an_answered_request(home: House) -> None:
    assert home.get("/readyz") == 200
    assert f"http://127.0.0.1:{home.port}" in home.said


def test_the_application_is_not_the_owner_of_the_tables(home: House) -> None:
    import psycopg

    url = (home.data / "database-url").read_text().strip()
    assert (home.data / "database-url").stat().st_mode & 0o777 == 0o600
    with psycopg.connect(url) as connection:
        assert connection.execute("select current_user").fetchone() == ("kangwei",)
        assert connection.execute("select count(*) from django_migrations").fetchone() != (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("drop table django_migrations")


def test_manage_by_hand_finds_the_same_database_and_migrates_as_its_owner(home: House) -> None:
    done = home.manage("migrate", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_start_on_the_same_data_is_refused_in_a_sentence(home: House) -> None:
    said = home.refused_start()
    assert "KW_DATA" in said
    assert f"进程 {home.supervisor.pid}" in said  # type: ignore[union-attr]
    assert len(said.splitlines()) == 1


def test_a_taken_port_is_named(home: House) -> None:
    said = home.refused_start(KW_DATA=str(home.data.with_name("other")))
    assert said == f"端口 {home.port} 已被占用，请用 KW_PORT 另选一个端口。"


@pytest.mark.parametrize("who", [WEB, WORKER, DATABASE])
def test_a_killed_child_comes_back_and_a_request_is_answered(home: House, who: str) -> None:
    eldest = home.pids(who)[0]  # the web server's own workers come after it
    os.kill(eldest, signal.SIGKILL)
    until(
        lambda: home.pids(who) and eldest not in home.pids(who) and home.get("/readyz") == 200,
        30,
        lambda: home.said,
    )


def test_a_killed_worker_of_the_web_server_comes_back(home: House) -> None:
    eldest, *workers = home.pids(WEB)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: len(home.pids(WEB)) == 3 and workers[0] not in home.pids(WEB), 15)
    assert home.pids(WEB)[0] == eldest
    assert home.get("/readyz") == 200


def test_the_web_server_leaves_no_worker_behind(home: House) -> None:
    before = home.pids(WEB)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: not set(before) & set(home.pids(WEB)), 5)
    until(lambda: home.get("/readyz") == 200, 30, lambda: home.said)


def test_asked_to_stop_it_stops_in_order_and_in_time(home: House) -> None:
    began = time.monotonic()
    home.send(signal.SIGTERM)
    assert home.wait(25) == 0
    assert time.monotonic() - began < 20
    assert home.everyone() == {}
    last = [line for line in home.said.splitlines() if "已停止" in line]
    assert last == ["网页服务已停止。", "后台任务已停止。", "数据库已停止。", "康维已停止。"]


def test_the_next_start_reuses_the_data_and_a_killed_supervisor_leaves_no_process(
    home: House,
) -> None:
    identity = (home.cluster.directory / "global" / "pg_control").read_bytes()[:8]
    secrets = (home.data / "secrets.json").read_text()
    home.start()
    assert (home.cluster.directory / "global" / "pg_control").read_bytes()[:8] == identity
    assert (home.data / "secrets.json").read_text() == secrets

    home.send(signal.SIGKILL)
    home.wait(5)
    until(lambda: not home.everyone(), 10, lambda: str(home.everyone()))


def test_after_such_a_death_it_starts_again(home: House) -> None:
    home.start()
    assert home.get("/readyz") == 200
