"""Our own PostgreSQL: who may enter, what it is set to, what a start does with leftovers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kangwei.supervisor import backup, database
from kangwei.supervisor.postgres import APPLICATION, OWNER, SUPERUSER, Cluster
from kangwei.supervisor.wishes import CannotStart, read
from tests.ground.house import until

pytestmark = pytest.mark.process
HOLDER = """
import subprocess, sys
from pathlib import Path
from kangwei.supervisor.postgres import Cluster
cluster = Cluster(Path(sys.argv[1]), durable=False)
subprocess.Popen(cluster.command(), cwd="/", stderr=subprocess.DEVNULL).wait()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "data", durable=False)
    yield cluster
    cluster.destroy()
    assert not cluster.home.exists()


def test_only_we_can_enter_and_each_role_may_what_it_should(cluster: Cluster) -> None:
    with cluster.running():
        database.prepare_own(cluster)
        database.prepare_own(cluster)  # a second start finds all in place
        assert cluster.sockets.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(cluster.url(SUPERUSER)) as connection:
            assert connection.execute("show listen_addresses").fetchone() == ("",)
            assert connection.execute("show data_checksums").fetchone() == ("on",)
            assert connection.execute("show summarize_wal").fetchone() == ("on",)
            # Chinese text can be searched: the locale provider matters.
            assert connection.execute("select show_trgm('疫苗') <> '{}'").fetchone() == (True,)
            connection.execute("select count(*) from pg_stat_statements")
        with psycopg.connect(cluster.url(OWNER)) as owner:
            owner.execute("create table seen (id bigint generated always as identity, what text)")
        with psycopg.connect(cluster.url(APPLICATION)) as application:
            application.execute("insert into seen (what) values ('一剂')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                application.execute("alter table seen add more text")


def test_a_server_left_by_an_earlier_supervisor_is_ended_first(cluster: Cluster) -> None:
    with cluster.running():
        before = int((cluster.directory / "postmaster.pid").read_text().split()[0])
        with cluster.running():
            now = int((cluster.directory / "postmaster.pid").read_text().split()[0])
            assert now != before
            assert cluster.answers()


def test_a_stale_note_naming_a_stranger_does_not_keep_it_from_starting(cluster: Cluster) -> None:
    cluster.prepare()
    note = cluster.directory / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{cluster.directory}\n")
    with cluster.running():
        assert cluster.answers()


def test_after_a_kill_it_recovers(cluster: Cluster) -> None:
    cluster.prepare()
    killed = subprocess.Popen(cluster.command(), cwd="/", stderr=subprocess.DEVNULL)
    until(cluster.answers, 20)
    killed.kill()
    killed.wait(5)
    with cluster.running():
        assert cluster.answers()


def test_it_dies_in_order_with_its_holder(cluster: Cluster) -> None:
    """SIGINT on the holder's death: an orderly stop, so the next start needs no recovery."""
    cluster.prepare()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(cluster.data)])
    until(cluster.answers, 20)
    holder.kill()
    holder.wait(5)
    until(lambda: not (cluster.directory / "postmaster.pid").exists(), 10)


def test_a_long_data_directory_gets_a_short_socket(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / ("很长的目录名" * 10) / "data", durable=False)
    (tmp_path / ("很长的目录名" * 10)).mkdir()
    try:
        assert len(str(cluster.sockets).encode()) <= 80
        with cluster.running():
            assert cluster.answers()
    finally:
        cluster.destroy()


def test_data_of_another_major_version_is_refused_in_a_sentence(cluster: Cluster) -> None:
    cluster.prepare()
    (cluster.directory / "PG_VERSION").write_text("12\n")
    with pytest.raises(CannotStart, match="属于 PostgreSQL 12"):
        cluster.prepare()


def test_moved_data_never_meets_an_empty_database(tmp_path: Path) -> None:
    """As root the cluster lies outside KW_DATA, so moving is refused; else it moves along."""
    first, moved = Cluster(tmp_path / "before"), Cluster(tmp_path / "after")
    try:
        first.prepare()
        identity = (first.directory / "global" / "pg_control").read_bytes()[:8]
        (tmp_path / "before").rename(tmp_path / "after")
        if os.geteuid() == 0:
            with pytest.raises(CannotStart, match="被移动或复制过"):
                moved.prepare()
        else:
            moved.prepare()
            assert (moved.directory / "global" / "pg_control").read_bytes()[:8] == identity
    finally:
        first.destroy()
        moved.destroy()


def test_a_backup_taken_while_running_comes_back_elsewhere_with_its_keys(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    first, second = Cluster(here, durable=False), Cluster(there, durable=False)
    try:
        with first.running():
            database.prepare_own(first)
            with psycopg.connect(first.url(OWNER)) as owner:
                owner.execute("create table seen (what text)")
                owner.execute("insert into seen values ('一剂')")
            (here / "secrets.json").write_text("{}")
            backup.save(read({"KW_DATA": str(here)}, tmp_path), tmp_path / "kept")
            with pytest.raises(CannotStart, match="已存在"):
                backup.save(read({"KW_DATA": str(here)}, tmp_path), tmp_path / "kept")
        assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700

        backup.restore(read({"KW_DATA": str(there)}, tmp_path), tmp_path / "kept")
        assert (there / "secrets.json").read_text() == "{}"
        with second.running(), psycopg.connect(second.url(APPLICATION)) as application:
            assert application.execute("select what from seen").fetchone() == ("一剂",)
        with pytest.raises(CannotStart, match="已有数据"):
            backup.restore(read({"KW_DATA": str(there)}, tmp_path), tmp_path / "kept")
    finally:
        first.destroy()
        second.destroy()


def test_a_damaged_backup_is_not_put_back(tmp_path: Path) -> None:
    first = Cluster(tmp_path / "here", durable=False)
    try:
        with first.running():
            backup.save(read({"KW_DATA": str(first.data)}, tmp_path), tmp_path / "kept")
        with (tmp_path / "kept" / "cluster" / "global" / "pg_control").open("r+b") as file:
            file.write(b"damaged")
        with pytest.raises(CannotStart, match="pg_verifybackup"):
            backup.restore(read({"KW_DATA": str(tmp_path / "there")}, tmp_path), tmp_path / "kept")
        assert not Cluster(tmp_path / "there").directory.exists()
    finally:
        first.destroy()
