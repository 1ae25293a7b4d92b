import os
import subprocess

import psycopg
import pytest


@pytest.fixture
def table(postgresql):
    with postgresql.cursor() as cursor:
        cursor.execute("CREATE TABLE note (text varchar UNIQUE)")
        postgresql.commit()
    return postgresql


@pytest.mark.parametrize("i", range(6))
def test_database_is_new(table, i):
    with table.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES (%s)", ("the same for all",))
        table.commit()
        assert cursor.execute("SELECT count(*) FROM note").fetchone() == (1,)


def test_unique(table):
    with table.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES ('a')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            cursor.execute("INSERT INTO note VALUES ('a')")


def test_second_connection(table, postgresql_proc):
    server = postgresql_proc
    with psycopg.connect(host=server.host, port=server.port, user=server.user, dbname=table.info.dbname) as other:
        assert other.execute("SELECT count(*) FROM note").fetchone() == (0,)


def test_fails(postgresql):
    assert postgresql.execute("SELECT 1").fetchone() == (2,)


@pytest.mark.parametrize("i", range(4))
def test_without(i):
    subprocess.run(["true"], check=True)
    assert os.getpid()
