"""What lies in the warehouse, in a database."""

from __future__ import annotations

import sqlite3


class OutOfStock(Exception):
    """Fewer left than wanted."""


class Stock:
    """Counts of articles in an SQLite database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._db.execute("create table if not exists stock (article text primary key, count int)")

    def put(self, article: str, count: int) -> None:
        self._db.execute(
            "insert into stock values (?, ?) on conflict (article) do update set count = count + ?",
            (article, count, count),
        )

    def take(self, article: str, count: int = 1) -> None:
        """Take some out, or raise `OutOfStock` and leave everything as it was."""
        if self.count(article) < count:
            raise OutOfStock(f"{article}: {self.count(article)} left, {count} wanted")
        self._db.execute("update stock set count = count - ? where article = ?", (count, article))

    def count(self, article: str) -> int:
        row = self._db.execute("select count from stock where article = ?", (article,)).fetchone()
        return row[0] if row else 0
