"""The suites that `measure.py` runs: their files, by name."""

from __future__ import annotations

#: Writes what happens into the file that ``NOTES`` names.
NOTES = """
import os

def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{text}\\n")
"""

#: A session fixture that computes for a second, and tests that take no time.
SECOND = {
    "notes.py": NOTES,
    "conftest.py": """
import time
import pytest
from notes import note

@pytest.fixture(scope="session")
def model():
    note("up model")
    end = time.process_time() + 1
    number = 0
    while time.process_time() < end:
        number += 1
    yield number
    note("down model")
""",
    "test_model.py": """
import pytest

@pytest.mark.parametrize("i", range(200))
def test_one(model, i):
    assert model
""",
}


def table(kind: str) -> dict[str, str]:
    """A session fixture with 200 MB of data, which every one of 16 tests walks from its beginning
    to its end.
    """
    value, walk = {
        "bytes": ("bytes(range(256)) * (200 * 2**20 // 256)", "sum(table[255::4096])"),
        "array": ("array.array('d', bytes(200 * 2**20))", "sum(table[::512]) + 1"),
        "objects": (
            "[f'{number:015d}' for number in range(200 * 2**20 // 72)]",
            "sum(map(len, table))",
        ),
    }[kind]
    return {
        "notes.py": NOTES,
        "conftest.py": f"""
import array
import pytest
from notes import note

@pytest.fixture(scope="session")
def table():
    note("up table")
    yield {value}
    note("down table")
""",
        "test_table.py": f"""
import time
import pytest

@pytest.mark.parametrize("i", range(16))
def test_one(table, i):
    assert {walk}
    time.sleep(0.1)  # long enough for a look at everybody's memory
""",
    }


#: A database server for everybody, a connection and a schema for each worker.
POSTGRES = {
    "notes.py": NOTES,
    "conftest.py": '''
import os, pwd, signal, subprocess, tempfile, time
from pathlib import Path
import psycopg
import pytest
from notes import note

@pytest.fixture(scope="session")
def postgres():
    """Address of a server that is as empty as it comes."""
    note("up postgres")
    programs = Path(os.environ["POSTGRES_BIN"])
    user = os.environ.get("POSTGRES_USER")  # the server does not run as root
    options = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        if user:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        data = f"{folder}/data"
        command = [programs / "initdb", "-D", data, "-U", "tests", "-A", "trust", "--no-sync"]
        subprocess.run(command, check=True, cwd=folder, **options)
        settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"]
        command = [programs / "postgres", "-D", data, "-k", folder, *settings]
        server = subprocess.Popen(command, cwd=folder, **options)
        address = f"host={folder} user=tests dbname=postgres"
        while True:
            try:
                psycopg.connect(address).close()
                break
            except psycopg.OperationalError:
                assert server.poll() is None, "the server has ended"
                time.sleep(0.02)
        yield address
        with psycopg.connect(address) as connection:
            rows = connection.execute("select worker from public.done order by 1").fetchall()
        note(f"done {','.join(worker for worker, in rows)}")
        assert server.poll() is None
        server.send_signal(signal.SIGINT)
        note(f"down postgres {server.wait()}")

@pytest.fixture(scope="session")
def done(postgres):
    """A table that all workers write into."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("create table public.done (worker text, test int)")
    return "public.done"

@pytest.fixture(scope="session")
def connection(postgres, done, worker_id):
    """A connection of this worker, to a schema of its own."""
    note("up connection")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"create schema if not exists {worker_id}")
        connection.execute(f"set search_path to {worker_id}")
        connection.execute("create table if not exists items (test int)")
        yield connection
    note("down connection")
''',
    "test_postgres.py": """
import os
import pytest

@pytest.mark.parametrize("i", range(32))
def test_one(connection, worker_id, done, i):
    with connection.transaction():
        before = connection.execute("select count(*) from items").fetchone()[0]
        connection.execute("insert into items select %s from generate_series(1, 100)", [i])
        assert connection.execute("select count(*) from items").fetchone()[0] == before + 100
    assert connection.execute("select current_schema()").fetchone()[0] == worker_id
    connection.execute(f"insert into {done} values (%s, %s)", [worker_id, i])
    if os.environ.get("CRASH") == str(i):
        os._exit(1)
""",
}
