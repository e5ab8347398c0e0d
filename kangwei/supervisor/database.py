"""What the database must have before the first migration: roles, extensions, rights.

Two roles: kangwei_owner owns the tables and runs migrations; kangwei is what web and worker are.
The application's role may read and write rows, and nothing else: it cannot change a table, and
the journal takes even update and delete from it.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from kangwei.supervisor.postgres import APPLICATION, DATABASE, OWNER, SUPERUSER, Cluster
from kangwei.supervisor.wishes import CannotStart

REQUIRED = ("pg_trgm", "btree_gist", "btree_gin")
WELCOME = ("unaccent", "pg_stat_statements")


def prepare_own(cluster: Cluster) -> None:
    """Our own server: make the two roles and the database, once."""
    with psycopg.connect(cluster.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        for role in (OWNER, APPLICATION):
            known = connection.execute("select 1 from pg_roles where rolname = %s", [role])
            if not known.fetchone():
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        known = connection.execute("select 1 from pg_database where datname = %s", [DATABASE])
        if not known.fetchone():
            connection.execute(
                sql.SQL("create database {} owner {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
    with psycopg.connect(cluster.url(SUPERUSER)) as connection:
        # On PostgreSQL 15 and later nobody but the database's owner may create in public.
        _extensions(connection)
        connection.execute(
            sql.SQL("grant pg_read_all_stats to {}").format(sql.Identifier(APPLICATION))
        )
    with psycopg.connect(cluster.url(OWNER)) as connection:
        _rights(connection, APPLICATION)


def prepare_external(url: str, owner_url: str) -> list[str]:
    """Somebody else's server: check what we need, take what we may; answers warnings."""
    warnings = []
    application = _reach("DATABASE_URL", url)
    role, database = application.info.user, application.info.dbname
    application.close()
    if not owner_url:
        warnings.append(
            "未设置 KW_DATABASE_OWNER_URL：应用与表的属主是同一角色，"
            "数据库不能强制审计日志只增不改。"
        )
    with _reach(
        "KW_DATABASE_OWNER_URL" if owner_url else "DATABASE_URL", owner_url or url
    ) as owner:
        if owner.info.server_version < 150000:
            raise CannotStart("DATABASE_URL 指向的 PostgreSQL 早于 15 版，请升级后再启动。")
        if owner.info.dbname != database:
            raise CannotStart("KW_DATABASE_OWNER_URL 与 DATABASE_URL 指向的不是同一个数据库。")
        missing = _extensions(owner)
        if required := [name for name in missing if name in REQUIRED]:
            raise CannotStart(
                f"DATABASE_URL 指向的数据库缺少扩展 {'、'.join(required)}，"
                "请数据库管理员执行 CREATE EXTENSION 后重新启动。"
            )
        if missing:
            warnings.append(f"数据库没有扩展 {'、'.join(missing)}，相应的统计不可用。")
        if not owner.execute("select show_trgm('疫苗') <> '{}'").fetchone() == (True,):
            raise CannotStart(
                "DATABASE_URL 指向的数据库的区域设置不识别中文（pg_trgm 检索不到汉字），"
                "请用 LC_CTYPE 为 C.UTF-8 或 zh_CN.UTF-8 的库。"
            )
        if owner_url:
            _rights(owner, role)
    return warnings


def _reach(name: str, url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, connect_timeout=10)
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise CannotStart(f"{name} 指向的数据库连接不上：{reason}") from None


def _extensions(connection: psycopg.Connection) -> list[str]:
    """Create what is missing; answers what could not be created."""
    present = {row[0] for row in connection.execute("select extname from pg_extension")}
    missing = []
    for name in (*REQUIRED, *WELCOME):
        if name in present:
            continue
        try:
            with connection.transaction():
                connection.execute(sql.SQL("create extension {}").format(sql.Identifier(name)))
        except psycopg.Error:
            missing.append(name)
    return missing


def _rights(owner: psycopg.Connection, role: str) -> None:
    """Let the application use every table of the owner, now and later, and change none."""
    grantee = sql.Identifier(role)
    tables = "select, insert, update, delete on tables"
    for statement in (
        "grant usage on schema public to {}",
        f"alter default privileges grant {tables} to {{}}",
        "alter default privileges grant usage, select on sequences to {}",
    ):
        owner.execute(sql.SQL(statement).format(grantee))
