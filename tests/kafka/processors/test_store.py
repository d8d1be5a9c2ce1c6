"""The local store on a real disk: a prefix of its changelog, whatever happens to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from processors import store as store_module
from processors.store import ALIVE_KEY, SPOILT, RocksStore, StoreMemory
from schemas.errors import StateError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def memory() -> StoreMemory:
    return StoreMemory(32 << 20)


def test_rows_and_offset_move_together(tmp_path: Path, memory: StoreMemory) -> None:
    """A reopened store knows what it holds and up to where."""
    store = RocksStore.open(tmp_path / "0", memory)
    assert store.offset == -1
    store.write({b"a": b"1", b"b": b"2"}, 5)
    store.write({b"a": None, b"c": b"3"}, 9)
    store.close()
    store = RocksStore.open(tmp_path / "0", memory)
    assert store.offset == 9
    assert (store.get(b"a"), store.get(b"b")) == (None, b"2")
    assert list(store.scan(b"a", b"c")) == [(b"b", b"2")]
    store.close()


def test_a_scan_gives_the_last_row_first_when_asked(tmp_path: Path, memory: StoreMemory) -> None:
    """From what is before the end, down to the start, whether or not there are rows at the borders."""
    store = RocksStore.open(tmp_path / "0", memory)
    store.write({key.encode(): b"" for key in "bdf"}, 0)
    for start, end in ("bf", "ag", "ce", "gh", "aa", "cd"):
        found = [key for key, _ in store.scan(start.encode(), end.encode())]
        assert found == [key.encode() for key in "bdf" if start <= key < end]
        assert [key for key, _ in store.scan(start.encode(), end.encode(), reverse=True)] == found[::-1]
    store.close()


def test_a_killed_process_loses_no_write(tmp_path: Path, memory: StoreMemory) -> None:
    """RocksDB's log is on, so that kill -9 costs no restore."""
    code = (
        "import os, signal, sys; from pathlib import Path; from processors.store import RocksStore, StoreMemory\n"
        "store = RocksStore.open(Path(sys.argv[1]), StoreMemory(32 << 20))\n"
        "for n in range(200): store.write({b'%d' % n: b'x' * 500}, n)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "0")], check=False, cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL
    store = RocksStore.open(tmp_path / "0", memory)
    assert store.offset == 199
    assert store.get(b"199") == b"x" * 500
    store.close()


def test_a_process_killed_amid_a_restore_leaves_a_prefix(tmp_path: Path) -> None:
    """A restore goes without RocksDB's log. A logged write behind it must not survive without the rows below it."""
    code = (
        "import os, signal, sys; from pathlib import Path; from processors.store import RocksStore, StoreMemory\n"
        "store = RocksStore.open(Path(sys.argv[1]), StoreMemory(32 << 20))\n"
        "for n in range(100): store.restore({b'%d' % n: os.urandom(int(sys.argv[2]))}, n)\n"
        "if len(sys.argv) > 3: store.write({b'100': b'x'}, 100)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    # Few bytes stay in memory, many are written out as they come.
    for name, nbytes, then_logged in (("few", "10", []), ("many", "500000", []), ("logged", "10", ["then logged"])):
        path = tmp_path / name
        arguments = [sys.executable, "-c", code, str(path), nbytes, *then_logged]
        assert subprocess.run(arguments, check=False, cwd=ROOT).returncode == -signal.SIGKILL
        store = RocksStore.open(path, StoreMemory(32 << 20))
        held = {int(key) for key, _ in store.scan(b"0", b"9" * 9)}
        assert held == set(range(store.offset + 1))
        assert (store.offset == 100) == bool(then_logged)
        store.close()


def test_a_process_killed_amid_a_bulk_restore_leaves_a_prefix(tmp_path: Path) -> None:
    """Before it was written out, while it is, and after: rows and offset are of one moment."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from processors.store import BULK_ROWS, RocksStore, StoreMemory\n"
        "store = RocksStore.open(Path(sys.argv[1]), StoreMemory(32 << 20))\n"
        "many = BULK_ROWS // 10\n"
        "def rows(n): return {b'%09d' % (many * n + i): os.urandom(int(sys.argv[2])) for i in range(many)}\n"
        "for n in range(30): store.restore(rows(n), n)\n"
        "then = sys.argv[3:]\n"
        "if then == ['written out']: store.write_out()\n"
        "if then == ['written']: store.write(rows(30), 30)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    for nbytes, then in (("10", []), ("300", []), ("10", ["written out"]), ("10", ["written"])):
        path = tmp_path / "-".join((nbytes, *then))
        arguments = [sys.executable, "-c", code, str(path), nbytes, *then]
        assert subprocess.run(arguments, check=False, cwd=ROOT).returncode == -signal.SIGKILL
        store = RocksStore.open(path, StoreMemory(32 << 20))
        held = [int(key) for key, _ in store.scan(b"0", b"9" * 9)]
        assert held == list(range((store.offset + 1) * (store_module.BULK_ROWS // 10)))
        assert store.offset >= (30 if then == ["written"] else 9)
        store.close()


def test_a_bulk_restore_is_read_as_any_other(tmp_path: Path, memory: StoreMemory) -> None:
    """Newer rows hide older ones, deleted ones are gone, also where both lie in memory together."""
    store = RocksStore.open(tmp_path / "0", memory)
    keys = [b"%06d" % number for number in range(store_module.BULK_ROWS)]
    for offset, value in enumerate((b"a", b"b", None, b"c")):
        store.restore(dict.fromkeys(keys, value), offset)
    store.restore({keys[7]: None}, 4)
    store.write_out()
    store.serve()
    assert (store.get(keys[6]), store.get(keys[7]), store.get(keys[8])) == (b"c", None, b"c")
    assert sum(1 for _ in store.scan(b"0", b"9")) == len(keys) - 1
    store.close()


@pytest.mark.parametrize("then", ["served", "closed"])
def test_a_store_that_a_thread_writes_out_is_served_and_closed_as_any_other(
    tmp_path: Path, memory: StoreMemory, then: str
) -> None:
    """A rebalance may come before the thread begins, while it writes, or after."""
    keys = [b"%06d" % number for number in range(store_module.BULK_ROWS)]
    with ThreadPoolExecutor(1) as thread:
        for wait_s in (0.0, 0.001, 0.01):
            store = RocksStore.open(tmp_path / f"{wait_s}", memory)
            for offset in range(2):
                store.restore(dict.fromkeys(keys, b"%d" % offset), offset)
            writing = thread.submit(store.write_out)
            time.sleep(wait_s)
            if then == "served":
                store.serve()
            else:
                store.close()
                store = RocksStore.open(tmp_path / f"{wait_s}", memory)
            assert (store.offset, store.get(keys[-1])) == (1, b"1")
            writing.result()
            store.close()


def test_a_store_that_is_opened_again_has_its_share_of_the_memory_and_no_more(tmp_path: Path) -> None:
    """Cache and memtables are those of all stores together; rocksdict would give each one a cache of its own."""
    RocksStore.open(tmp_path / "0", StoreMemory(32 << 20)).close()
    memory = StoreMemory(32 << 20)
    before = memory.used_bytes
    store = RocksStore.open(tmp_path / "0", memory)
    store.write({b"%06d" % number: os.urandom(400) for number in range(5_000)}, 0)
    assert memory.used_bytes - before > 2_000_000
    store.close()
    store = RocksStore.open(tmp_path / "0", memory)
    read = sum(len(row) for _, row in store.scan(b"0", b"9"))
    assert memory.used_bytes - before > read // 2
    store.close()


def test_a_torn_log_is_an_older_prefix(tmp_path: Path, memory: StoreMemory) -> None:
    """What RocksDB's log lost is restored from the changelog: offset and rows are of one moment."""
    store = RocksStore.open(tmp_path / "0", memory)
    for number in range(50):
        store.write({b"row": b"%d" % number}, number)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "0", copy)
    store.close()
    (log,) = copy.glob("*.log")
    os.truncate(log, log.stat().st_size - 37)
    torn = RocksStore.open(copy, memory)
    assert 0 <= torn.offset < 49
    assert torn.get(b"row") == b"%d" % torn.offset
    torn.close()


def test_a_log_that_is_damaged_in_its_middle_is_an_older_prefix(tmp_path: Path, memory: StoreMemory) -> None:
    """What is whole behind the damage is left: the offset there would claim the rows that were lost, for good."""
    store = RocksStore.open(tmp_path / "0", memory)
    for number in range(50):
        store.write({b"%02d" % number: os.urandom(2_000)}, number)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "0", copy)
    store.close()
    (log,) = copy.glob("*.log")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    damaged = RocksStore.open(copy, memory)
    assert 10 < damaged.offset < 40
    assert [key for key, _ in damaged.scan(b"0", b"9")] == [b"%02d" % number for number in range(damaged.offset + 1)]
    damaged.close()


def test_a_store_that_cannot_be_opened_is_restored_anew(tmp_path: Path, memory: StoreMemory) -> None:
    """It is a copy: the changelog has it all."""
    store = RocksStore.open(tmp_path / "0", memory)
    store.write({b"a": b"1"}, 5)
    store.close()
    for manifest in (tmp_path / "0").glob("MANIFEST-*"):
        manifest.write_bytes(b"\xff" * manifest.stat().st_size)
    store = RocksStore.open(tmp_path / "0", memory)
    assert (store.offset, store.get(b"a")) == (-1, None)
    store.close()


def test_a_row_that_cannot_be_read_ends_the_process_and_spoils_the_store(tmp_path: Path, memory: StoreMemory) -> None:
    """Flipped bits are found by RocksDB's checksums; the next start throws the copy away."""
    path = tmp_path / "0"
    store = RocksStore.open(path, memory)
    store.write({b"%05d" % n: os.urandom(400) for n in range(2000)}, 5)
    store.close()
    for table in path.glob("*.sst"):
        data = bytearray(table.read_bytes())
        for at in range(len(data) * 2 // 5, len(data) * 3 // 5, 1500):
            data[at] ^= 0xFF
        table.write_bytes(data)
    store = RocksStore.open(path, StoreMemory(32 << 20))
    with pytest.raises(StateError, match="a restart restores it"):
        list(store.scan(b"0", b"9"))
    with pytest.raises(StateError, match="a restart restores it"):
        store.get_many([b"%05d" % n for n in range(2000)])
    store.close()
    assert (path / SPOILT).exists()
    store = RocksStore.open(path, memory)
    assert store.offset == -1
    store.close()


def test_a_file_that_is_lost_makes_the_store_anew(tmp_path: Path, memory: StoreMemory) -> None:
    """Whichever it is: without it RocksDB opens nothing, today or later."""
    for lost in ("MANIFEST-*", "CURRENT", "*.sst"):
        path = tmp_path / lost[:4]
        for offset in (5, 6):
            store = RocksStore.open(path, memory)
            store.write({b"a": b"%d" % offset}, offset)
            store.close()
        files = list(path.glob(lost))
        assert files
        for file in files:
            file.unlink()
        store = RocksStore.open(path, memory)
        assert (store.offset, store.get(b"a")) == (-1, None)
        store.close()


def test_damage_that_only_compaction_meets_spoils_the_store(tmp_path: Path, memory: StoreMemory) -> None:
    """It would fail again after each restart, and no space that is freed would help."""
    path = tmp_path / "0"

    def overwrite(times: int) -> None:
        for offset in range(times):
            store = RocksStore.open(path, memory)
            try:
                store.write({b"%05d" % n: os.urandom(200) for n in range(2000)}, offset)
            finally:
                store.close()  # makes a table; the fourth one makes RocksDB compact

    overwrite(2)
    table = min(path.glob("*.sst"))
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    with pytest.raises(StateError, match="a restart restores it"):
        overwrite(100)
    store = RocksStore.open(path, memory)
    assert store.offset == -1
    store.close()


def test_a_store_that_was_away_too_long_is_thrown_away(
    tmp_path: Path, memory: StoreMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compaction may have dropped tombstones that it never saw."""
    store = RocksStore.open(tmp_path / "0", memory)
    store.write({b"a": b"1"}, 5)
    assert store.get(ALIVE_KEY) is not None
    store.close()
    later = time.time() + store_module.MAX_AWAY_S + 60
    monkeypatch.setattr(store_module.time, "time", lambda: later)
    store = RocksStore.open(tmp_path / "0", memory)
    assert store.offset == -1
    store.close()


def test_a_store_of_a_clock_that_was_ahead_is_thrown_away(
    tmp_path: Path, memory: StoreMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it was away cannot be known."""
    ahead = time.time() + 3 * 86_400
    with monkeypatch.context() as patched:
        patched.setattr(store_module.time, "time", lambda: ahead)
        store = RocksStore.open(tmp_path / "0", memory)
        store.write({b"a": b"1"}, 5)
        store.close()
    store = RocksStore.open(tmp_path / "0", memory)
    assert store.offset == -1
    store.close()


def test_a_directory_that_cannot_be_used_is_one_clear_line(tmp_path: Path, memory: StoreMemory) -> None:
    """It names the path and RocksDB's own reason."""
    first = RocksStore.open(tmp_path / "0", memory)
    with pytest.raises(StateError, match=r"cannot be opened.*lock"):
        RocksStore.open(tmp_path / "0", memory)
    first.close()


def test_a_full_disk_is_one_clear_line_and_writes_nothing(tmp_path: Path, memory: StoreMemory) -> None:
    """Neither rows nor offset move; a restart restores what is missing. A file that may not grow stands in for it."""
    code = (
        "import os, resource, signal, sys; from pathlib import Path\n"
        "from processors.store import RocksStore, StoreMemory\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = RocksStore.open(Path(sys.argv[1]), StoreMemory(32 << 20))\n"
        "store.write({b'a': b'1'}, 1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: store.write({b'%d' % n: os.urandom(20_000) for n in range(50)}, 2)\n"
        "except Exception as error: print(store.offset, type(error).__name__, error)\n"
        "store.close()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "0")], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert ended.stdout.startswith("1 StateError the state at ")
    assert "File too large; free space and restart" in ended.stdout
    store = RocksStore.open(tmp_path / "0", memory)
    assert (store.offset, store.get(b"a"), store.get(b"7")) == (1, b"1", None)
    store.close()
