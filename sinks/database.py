"""A database as the tables of a stream need it: one transaction at a time, in PostgreSQL or SQLite.

    with opened("postgresql://me@db/shop") as database, database.transaction() as cursor:
        cursor.execute(f"DELETE FROM products WHERE sku = {database.marker}", ("k-1",))

The two speak the same SQL here; what differs is the driver: its place holder, how it begins, and what its errors mean.
An error is one of three: the database is away or busy (`DatabaseAway`: it passes by itself), it cannot hold a value
(`ValueRefused`: that row only), or something that a person must mend (`StreamgaugeError`).

>>> name_of("postgresql://me:secret@db:5433/shop?sslmode=require"), name_of("sqlite:////var/lib/shop.db")
('postgresql://db:5433/shop', 'sqlite:////var/lib/shop.db')
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

from schemas.errors import StreamgaugeError
from schemas.sql_table import SqlTable

SQLITE = "sqlite:///"
ANSWER_S = 10
"""How long a connection may take to be made, or a lock of SQLite to be had."""
_LOCK = 0x73747267
"""PostgreSQL's advisory lock of those who make the tables: any number that nobody else uses."""


class DatabaseAway(Exception):
    """It does not answer, or has no room or time: the same again may succeed later."""


class ValueRefused(Exception):
    """It cannot hold a value, whenever it is asked."""


class Cursor(Protocol):
    """What both drivers' cursors do."""

    @property
    def rowcount(self) -> int:
        """Rows that the last statement changed."""
        ...

    def execute(self, statement: Any, values: Sequence[Any] = ..., /) -> Any:
        """Carry out a statement."""
        ...

    def executemany(self, statement: Any, rows: Sequence[Sequence[Any]], /) -> Any:
        """Carry out a statement for each row of values."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows that a query found."""
        ...


class Database(Protocol):
    """A connection. Any use of it raises `DatabaseAway`, `ValueRefused` or `StreamgaugeError`."""

    marker: str
    """The place holder of a value."""

    def transaction(self, *, alone: bool = False) -> AbstractContextManager[Cursor]:
        """A context that gives a `Cursor`, commits at its end, and rolls back where it is left by an error.

        Args:
            alone: no other transaction that asks for the same runs meanwhile.
        """
        ...

    def put(self, cursor: Cursor, table: SqlTable, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, in place of those with their keys. No two of ``rows`` have one key."""
        ...

    def remove(self, cursor: Cursor, table: SqlTable, keys: Sequence[Sequence[Any]]) -> None:
        """Take out the rows of ``keys``, those that are there."""
        ...

    def attempt(self, cursor: Cursor, act: Callable[[], None]) -> str:
        """Do something in a transaction that goes on where the database cannot hold a value.

        Returns:
            Why it cannot; empty: it was done.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@contextmanager
def opened(url: str) -> Generator[Database]:
    """Connect to the database of ``url`` (`checked`), for as long as the context lasts."""
    database: Database = _Sqlite(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else _Postgres(url)
    try:
        yield database
    finally:
        database.close()


def checked(url: str) -> str:
    """``url``, if it can be the address of a database.

    Raises:
        ValueError: it cannot; the reason, which does not repeat it, since it may hold a password.
    """
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        return url
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("names no database (postgresql://USER@HOST/NAME or sqlite:///PATH)")
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except Error:
        raise ValueError("is not understood by PostgreSQL's client (postgresql://USER@HOST/NAME)") from None
    return url


def name_of(url: str) -> str:
    """``url`` as it may be shown: without user, password and options."""
    if url.startswith(SQLITE):
        return url
    parts = urlsplit(url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


class _Postgres:
    marker = "%s"

    def __init__(self, url: str) -> None:
        import psycopg  # 60 ms, for those who have a PostgreSQL
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        self._psycopg = psycopg
        # A server that is cut off is noticed within half a minute; what the address itself says comes first.
        patience = {"connect_timeout": ANSWER_S, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
                    "tcp_user_timeout": 30_000, "application_name": "streamgauge"}  # fmt: skip
        try:
            self._connection = psycopg.connect(make_conninfo("", **(patience | conninfo_to_dict(url))), autocommit=True)
        except (
            psycopg.Error
        ) as error:  # also a wrong password, or a database that is not made yet: somebody may see to it
            raise DatabaseAway(_one_line(error)) from error

    @contextmanager
    def transaction(self, *, alone: bool = False) -> Generator[Cursor]:
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                if alone:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                yield cursor
        except self._psycopg.Error as error:
            raise self._meaning(error) from error

    def put(self, cursor: Cursor, table: SqlTable, rows: Sequence[Sequence[Any]]) -> None:
        # A column is one array: a tenth of the time that a statement for each row takes.
        arrays = ", ".join(f"%s::{kind}[]" for kind in table.columns.values())
        statement = f"INSERT INTO {table.name} ({', '.join(table.columns)}) SELECT * FROM unnest({arrays}) "  # noqa: S608
        cursor.execute(statement + table.changing, [list(column) for column in zip(*rows, strict=True)])

    def remove(self, cursor: Cursor, table: SqlTable, keys: Sequence[Sequence[Any]]) -> None:
        arrays = ", ".join(f"%s::{table.columns[name]}[]" for name in table.key)
        same = " AND ".join(f"{table.name}.{name} = gone.{name}" for name in table.key)
        cursor.execute(
            f"DELETE FROM {table.name} USING unnest({arrays}) AS gone ({', '.join(table.key)}) WHERE {same}",  # noqa: S608
            [list(column) for column in zip(*keys, strict=True)],
        )

    def attempt(self, cursor: Cursor, act: Callable[[], None]) -> str:
        return _attempt(cursor, act, self._psycopg.Error, self._meaning)

    def close(self) -> None:
        self._connection.close()

    def _meaning(self, error: Any) -> Exception:
        state = error.sqlstate or ""
        if isinstance(error, self._psycopg.DataError) or state in _TOO_LARGE:
            return ValueRefused(_one_line(error))
        if (isinstance(error, self._psycopg.OperationalError) and state[:2] in _PASSING) or state == _READ_ONLY:
            return DatabaseAway(_one_line(error))
        return StreamgaugeError(f"the database refuses: {_one_line(error)}; mend that, or name another with --database")


_TOO_LARGE = frozenset({"54000", "22P05"})
"""A limit of the program (a key beyond what an index holds), a character that the server's encoding lacks."""
_READ_ONLY = "25006"
"""A server that has become a replica, until the address leads to the new primary."""
_PASSING = frozenset({"", "08", "40", "53", "55", "57", "58"})
"""Classes of errors that pass: connection, conflict, resources, locks, an operator's shutdown, the disk."""


class _Sqlite:
    marker = "?"

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, timeout=ANSWER_S, isolation_level=None, check_same_thread=False)
            try:
                # Readers go on while a transaction is written, and what is committed survives a power cut.
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
            except sqlite3.Error:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise self._meaning(error) from error

    @contextmanager
    def transaction(self, *, alone: bool = False) -> Generator[Cursor]:  # noqa: ARG002 - here each one is alone
        try:
            cursor = self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._meaning(error) from error

    def put(self, cursor: Cursor, table: SqlTable, rows: Sequence[Sequence[Any]]) -> None:
        values = ", ".join("?" for _ in table.columns)
        statement = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values}) "  # noqa: S608
        cursor.executemany(statement + table.changing, rows)

    def remove(self, cursor: Cursor, table: SqlTable, keys: Sequence[Sequence[Any]]) -> None:
        same = " AND ".join(f"{name} = ?" for name in table.key)
        cursor.executemany(f"DELETE FROM {table.name} WHERE {same}", keys)  # noqa: S608

    def attempt(self, cursor: Cursor, act: Callable[[], None]) -> str:
        return _attempt(cursor, act, sqlite3.Error, self._meaning)

    def close(self) -> None:
        self._connection.close()

    def _meaning(self, error: Any) -> Exception:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if isinstance(error, sqlite3.DataError):
            return ValueRefused(_one_line(error))
        if code in _SQLITE_PASSING:
            return DatabaseAway(f"{self._path}: {_one_line(error)}")
        return StreamgaugeError(
            f"the database {self._path} refuses: {_one_line(error)}; mend that, or name another with --database"
        )


_SQLITE_PASSING = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
     sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL}
)  # fmt: skip


def _attempt(
    cursor: Cursor, act: Callable[[], None], errors: type[Exception], meaning: Callable[[Any], Exception]
) -> str:
    cursor.execute("SAVEPOINT one")
    try:
        act()
    except errors as error:
        if not isinstance(refusal := meaning(error), ValueRefused):
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT one")
        return str(refusal)
    cursor.execute("RELEASE SAVEPOINT one")
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
