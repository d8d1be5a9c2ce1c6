"""The local store of one partition: a RocksDB directory that is always a prefix of the partition's changelog.

    store = RocksStore.open(path, StoreMemory(64 << 20))
    store.write({b"key": b"row"}, offset=17)   # rows and changelog offset in one WriteBatch
    store.offset                               # 17: it holds what the changelog says up to there

Invariants:

* ``offset`` is -1 or the changelog offset of the last entry that the rows hold: rows and offset move together.
* It is written only with what is committed, so ``offset`` < the changelog's committed end.
* RocksDB's log is on, without fsync: a killed process loses nothing, a torn log is an older prefix, and what a lost
  machine took with it is in the changelog. Only `restore` goes without the log: what a kill takes with it is restored
  once more. RocksDB writes its memtables out in their order, so that leaves a prefix, too.

A long restore is *bulk*: nobody reads, so its memtables are mere lists, sorted when they are written out, and
compaction waits until many tables are there. That is half the CPU of a row. `serve` ends it.

A store is a copy. One that cannot be read, or that was away so long that compaction may have dropped the tombstones
it missed, is thrown away and restored; `open` says so. Keys that begin with NUL are the engine's.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    MemtableFactory,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from processors import crash_points
from schemas.errors import StateError

log = logging.getLogger("streamgauge.store")

OFFSET_KEY = b"\x00offset"
ALIVE_KEY = b"\x00alive"
MAX_AWAY_S = 23 * 3600
"""A store not up to date for longer is thrown away: the changelog keeps removals for 24 h at least, which
`ops.topics` sees to (``delete.retention.ms``)."""
AHEAD_S = 600
"""So much may two clocks differ."""
ALIVE_EVERY_S = 600
MEMTABLE_BYTES = 16 << 20
BULK_ROWS = 32_768
"""A restore of more rows is bulk. To open the database anew for it, twice, costs as much as some thousand rows."""
BULK_TABLES = 16
"""So many tables lie side by side before compaction looks at them in a bulk restore; a read looks into each."""
FILTER_SHARE = 0.02
"""Of a memtable's size, for its Bloom filter. A row that is not there, as that of each new entity, is then known not to
be for 0.9 µs instead of 2.9 (8,192 keys of 30 bytes, a memtable of 160,000 rows)."""
OPEN_TABLES = 64
"""Of one store: a worker with 8 partitions stays below the 1,024 files that many systems allow. A store of 380 MB had 8
to 12 (`make soak`); where there are more, those that were read longest ago are closed."""
SPOILT = "SPOILT"
"""A file of this name beside the database: the next `open` throws the store away."""


class StoreMemory:
    """The block cache and memtables of all stores of a process, under one limit in bytes.

    Stock Faust gives each partition 2 GiB of cache and 3 memtables of 64 MB.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.cache = Cache(limit_bytes)
        self.memtables = WriteBufferManager.new_write_buffer_manager_with_cache(limit_bytes // 2, False, self.cache)

    @property
    def used_bytes(self) -> int:
        """Bytes in use (memtables are counted in the cache)."""
        return self.cache.get_usage()


class RocksStore:
    """One partition's rows on disk. Use `open`."""

    def __init__(self, path: Path, db: Rdict, memory: StoreMemory) -> None:
        self.path = path
        self._db = db
        self._memory = memory
        self._alive_at = 0.0
        self._unlogged = False
        self._bulk = False
        self._restored = 0
        self._flushing = threading.Lock()
        """A database is not closed while a thread writes it out."""
        offset = self._get(OFFSET_KEY)
        self.offset = -1 if offset is None else int(offset)

    @classmethod
    def open(cls, path: Path, memory: StoreMemory) -> RocksStore:
        """Open or create the store at ``path``; a copy that cannot be trusted is thrown away first.

        Raises:
            StateError: the directory cannot be written, or another process holds it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        store, reason = (None, "it was found spoilt") if (path / SPOILT).exists() else cls._trusted(path, memory)
        if store is not None:
            return store
        log.warning("local state thrown away, to be restored", extra={"path": str(path), "reason": reason})
        shutil.rmtree(path)
        store, reason = cls._trusted(path, memory)
        if store is None:
            raise StateError(f"the state at {path} cannot be opened: {reason}")
        return store

    @classmethod
    def _trusted(cls, path: Path, memory: StoreMemory) -> tuple[RocksStore | None, str]:
        """The store at ``path``, or the reason why it cannot be trusted."""
        try:
            db = _database(path, memory)
        except Exception as error:
            if _is_damage(error):
                return None, str(error)
            raise StateError(f"the state at {path} cannot be opened: {error}{_advice(error)}") from error
        try:
            store = cls(path, db, memory)
            away_s = store._away_s()
        except StateError as error:
            db.close()
            return None, str(error)
        if store.offset >= 0 and _is_stale(away_s):
            db.close()
            return None, f"it was up to date {away_s / 3600:.0f} hours ago"
        return store, ""

    @property
    def is_stale(self) -> bool:
        """Whether it was up to date so long ago that the changelog may lack removals that it has not heard of."""
        return self.offset >= 0 and _is_stale(self._away_s())

    def get(self, key: bytes, /) -> bytes | None:
        """The row at ``key``.

        Raises:
            StateError: RocksDB cannot read it; the next start restores the store from the changelog.
        """
        return self._get(key)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """The row at each of ``keys``.

        Raises:
            StateError: as `get`.
        """
        try:
            # Not RocksDB's MultiGet: for keys that are not there it takes five times as long.
            return cast("list[bytes | None]", list(map(self._db.get, keys)))
        except Exception as error:
            raise self._spoilt(error) from error

    def scan(self, start: bytes, end: bytes, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """The rows of ``[start, end)`` in key order, or the last first."""
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        # Not `items()`: it ends at a block that cannot be read as if that were the end of the rows.
        iterator = self._db.iter(options)
        if reverse:
            iterator.seek_to_last()
        else:
            iterator.seek(start)
        while iterator.valid():
            key, value = iterator.key(), iterator.value()
            if not isinstance(key, bytes) or not isinstance(value, bytes):
                raise StateError(f"the state at {self.path} holds something that is no row; delete the directory")
            if key < start:
                break
            yield key, value
            if reverse:
                iterator.prev()
            else:
                iterator.next()
        try:
            iterator.status()
        except Exception as error:
            raise self._spoilt(error) from error

    def write(self, rows: Mapping[bytes, bytes | None], offset: int) -> None:
        """Write committed rows and the changelog offset of the last of them, at once.

        Raises:
            StateError: the disk is full or failed, or RocksDB met a table that is damaged; nothing of it is written,
                and a restart restores it.
        """
        self.serve()
        batch = self._batch_of(rows, offset)
        crash_points.soon("in-store")
        self._write(batch)
        self.offset = offset

    def restore(self, rows: Mapping[bytes, bytes | None], offset: int) -> None:
        """`write` for many rows that the changelog has anyway: cheaper, and after a kill to be done again.

        Raises:
            StateError: as `write`.
        """
        self._restored += len(rows)
        if self._restored > BULK_ROWS and not self._bulk:
            self._open_anew(bulk=True)
        batch = self._batch_of(rows, offset)
        self._unlogged = True
        self._write(batch, _UNLOGGED)
        self.offset = offset

    def write_out(self) -> None:
        """Write out what a bulk restore has in memory: most of the time that `serve` would take.

        It waits for the disk, so it may be called from a thread, beside everything else.

        Raises:
            StateError: as `write`.
        """
        with self._flushing:
            if self._bulk:
                with self._telling():
                    self._db.flush()

    def serve(self) -> None:
        """The restore is over: rows will be read. What is in memory of a bulk restore is written out before.

        Raises:
            StateError: as `write`.
        """
        self._restored = 0
        if self._bulk:
            self._open_anew(bulk=False)

    def keep_alive(self) -> None:
        """Note that the store is up to date now, though nothing was written for a while.

        Raises:
            StateError: as `write`.
        """
        batch = WriteBatch(raw_mode=True)
        self._put_alive(batch)
        if not batch.is_empty():
            self._write(batch)

    def close(self) -> None:
        """Flush and close; what cannot be flushed is in the changelog."""
        with self._flushing:
            self._bulk = False
            try:
                self._db.close()
            except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
                log.warning("local state not flushed", extra={"path": str(self.path), "reason": str(error)})

    def _batch_of(self, rows: Mapping[bytes, bytes | None], offset: int) -> WriteBatch:
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in rows.items():
            if value is None:
                delete(key)
            else:
                put(key, value)
        put(OFFSET_KEY, b"%d" % offset)
        self._put_alive(batch)
        return batch

    def _write(self, batch: WriteBatch, options: WriteOptions | None = None) -> None:
        with self._telling():
            if options is None and self._unlogged:
                # A log that begins above rows which are nowhere yet would not leave a prefix after a kill.
                self._db.flush()
                self._unlogged = False
            self._db.write(batch, options)

    def _open_anew(self, *, bulk: bool) -> None:
        """Close the database and open it as a restore or as readers want it; RocksDB cannot change that in between."""
        with self._flushing:
            with self._telling():
                self._db.flush()
                self._db.close()
                self._db = _database(self.path, self._memory, bulk=bulk)
            self._bulk, self._unlogged = bulk, False
        offset = self._get(OFFSET_KEY)
        if (-1 if offset is None else int(offset)) != self.offset:
            raise StateError(f"the state at {self.path} lost what was written; a restart restores it")

    @contextmanager
    def _telling(self) -> Generator[None]:
        """What RocksDB could not write, in words for people."""
        try:
            yield
        except Exception as error:
            # A table that nobody reads is met by compaction, whose failure RocksDB tells whoever writes next.
            if _is_damage(error):
                raise self._spoilt(error) from error
            raise StateError(f"the state at {self.path} cannot be written: {error}{_advice(error)}") from error

    def _get(self, key: bytes) -> bytes | None:
        try:
            value = self._db.get(key)
        except Exception as error:
            raise self._spoilt(error) from error
        if value is None or isinstance(value, bytes):
            return value
        raise StateError(f"the state at {self.path} holds something that is no row; delete the directory")

    def _put_alive(self, batch: WriteBatch) -> None:
        now = time.time()
        if now - self._alive_at > ALIVE_EVERY_S:
            self._alive_at = now
            batch.put(ALIVE_KEY, b"%d" % now)

    def _away_s(self) -> float:
        alive = self._get(ALIVE_KEY)
        return time.time() - int(alive) if alive is not None else 0.0

    def spoil(self) -> None:
        """The next `open` throws it away."""
        (self.path / SPOILT).touch()

    def _spoilt(self, error: Exception) -> StateError:
        self.spoil()
        return StateError(
            f"the state at {self.path} cannot be read ({error}); a restart restores it from the changelog"
        )


def _is_stale(away_s: float) -> bool:
    """Of a store that was up to date so many seconds ago; below none a clock was ahead, and nothing is known."""
    return not -AHEAD_S <= away_s <= MAX_AWAY_S


_UNLOGGED = WriteOptions()
cast("Any", _UNLOGGED).disable_wal = True  # a property, which its stub calls a method


def _is_damage(error: Exception) -> bool:
    """Whether the copy is broken, rather than the machine: rocksdict raises bare exceptions, RocksDB's words differ."""
    return any(word in str(error) for word in ("Corruption", "checksum", "No such file"))


def _advice(error: Exception) -> str:
    """What a person can do where it is the disk; all of it is told by strerror's words."""
    full = ("No space left", "File too large", "quota exceeded")
    return "; free space and restart" if any(word in str(error) for word in full) else "; see whether the disk works"


def _database(path: Path, memory: StoreMemory, *, bulk: bool = False) -> Rdict:
    options = _options(memory, bulk=bulk)
    # Of a database that is there already, rocksdict takes the options with which it was made, and gives it a cache of
    # 8 MB of its own; unless its column families are named.
    return Rdict(str(path), options, column_families={"default": options})


def _options(memory: StoreMemory, *, bulk: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_write_buffer_manager(memory.memtables)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_max_open_files(OPEN_TABLES)
    options.set_keep_log_file_num(2)
    options.set_max_total_wal_size(4 * MEMTABLE_BYTES)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    # A bulk restore leaves many tables, and no epoch is to wait until they are merged.
    options.set_level_zero_slowdown_writes_trigger(4 * BULK_TABLES)
    options.set_level_zero_stop_writes_trigger(8 * BULK_TABLES)
    if bulk:
        options.set_memtable_factory(MemtableFactory.vector())
        options.set_allow_concurrent_memtable_write(False)  # which lists cannot
        options.set_max_write_buffer_number(4)  # a write that waits for one of them holds Python's lock
        options.set_level_zero_file_num_compaction_trigger(BULK_TABLES)
    else:
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(FILTER_SHARE)
    table = BlockBasedOptions()
    table.set_block_cache(memory.cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    return options
