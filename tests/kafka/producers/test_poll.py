"""``streamgauge poll items`` on a real broker, against an API that is served here: all of it once, whatever happens."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from hashlib import sha256
from time import monotonic

import pytest
from aiohttp import web

from ops.samples import sample_of
from ops.topics import ensure
from producers import pages
from producers.gate import Gate
from producers.pages import ATTEMPTS, PageApi, PageGivenUp
from producers.poll import ANY
from producers.simulate import Scenario
from producers.simulate.api import FAULTS, served, serving
from producers.simulate.items import Catalogue, Synthetic
from producers.simulate.recorded import Recorded, recorded
from schemas.items import ITEMS
from schemas.wire import LETTER_BYTES, LETTER_LENGTH, LETTER_SHA256
from tests.kafka.producers.conftest import PROGRAM, Shell, result
from tests.waiting import until

SAMPLE = sample_of("items")


class Watched:
    """A catalogue that remembers when which page was asked for, and has some that it refuses."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.offsets: list[int] = []
        self.times: list[float] = []
        self.refused = range(0)

    def page(self, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        self.offsets.append(offset)
        self.times.append(monotonic())
        if offset in self.refused:
            raise web.HTTPNotFound
        return self._catalogue.page(offset, limit)


@pytest.fixture
def shell(shell: Shell) -> Shell:
    """With the topics of items: here, and not by the first command, so that a test may look into them at once."""
    ensure(shell.kafka, ITEMS)
    return shell


def real_pages() -> Recorded:
    assert SAMPLE is not None
    return recorded(str(SAMPLE.paths[0]))


def sent(shell: Shell) -> list[int]:
    """The ids in the input topic, sorted."""
    return sorted(json.loads(record.value)["id"] for record in shell.records("items"))


def told(stderr: bytes) -> list[tuple[int, int]]:
    """The ranges of the last line, which says what is missing."""
    line = stderr.decode().splitlines()[-1]
    assert line.startswith("missing ids ")
    pairs = [each.split("-") for each in line.removeprefix("missing ids ").split(", ")]
    return [(int(first), int(last or ANY)) for first, last in pairs]


def test_the_real_pages_give_the_known_report(shell: Shell) -> None:
    """Polled twice: an id counts once. Top lists to the byte; keys are blocks of ids; every format of the report."""
    assert SAMPLE is not None
    worker = shell.start("worker", "items", "--id", "w", "--http", "off")
    with served(real_pages()) as url:
        for _ in range(2):
            done = shell.run("poll", "items", "--url", url, "--wait", "--json")
            assert done.returncode == 0, (done.stderr, worker.stderr)
            assert (result(done)["accepted"], result(done)["rejected"]) == (2000, 0)
    assert len(sent(shell)) == 4000
    assert {record.key for record in shell.records("items")} == {b"65833"}
    assert shell.run("report", "items").stdout == SAMPLE.answer()
    assert shell.run("report", "items", "--by", "food", "-k", "2").stdout == b"12274029,13\n12274712,9\n"
    assert shell.run("report", "items", "--by", "category", "-k", "1", "--csv").stdout == b"id,count\n8,107\n"
    assert json.loads(shell.run("report", "items", "--by", "category", "-k", "1", "--json").stdout) == [
        {"id": 8, "count": 107}
    ]
    tail = shell.run("tail", "items:category:8", "-o", "beginning", "-e", "--latest").stdout
    assert json.loads(tail).items() >= {"kind": "category", "id": 8, "count": 107}.items()


def test_all_requests_share_one_rate(shell: Shell) -> None:
    """Eight readers are as slow together as one would be.

    That no second sees more than the rate, and one, is proved with a hand clock (`tests/unit/producers/test_gate.py`):
    here a busy machine may hold some requests up and let them arrive together.
    """
    api = Watched(real_pages())
    with served(api) as url:
        assert shell.run("poll", "items", "--url", url, "--rate", "20", "--limit", "30").returncode == 0
    assert len(api.times) > 60
    assert api.times[-1] - api.times[0] > len(api.times) / 20 - 1


def test_a_killed_poll_goes_on_where_the_broker_had_everything(shell: Shell) -> None:
    """Nothing is lost, only what was not acknowledged is read again; after that the same command starts anew."""
    items = Synthetic(Scenario(events=5000, keys=100))
    everything = items.ids(0, 5000).tolist()
    api = Watched(items)
    words = ("poll", "items", "--rate", "30", "--limit", "50")
    with served(api) as url:
        running = shell.start(*words, "--url", url)
        until(lambda: len(sent(shell)) > 500)
        kept = shell.folder / "data" / "poll"
        until(lambda: list(kept.rglob("*.json")) and len(api.offsets) > 40)
        running.kill()
        before = len(api.offsets)
        done = shell.run("poll", "items", "--url", url, "--rate", "300", "--limit", "50", "--json")
        assert done.returncode == 0, done.stderr
        assert b"going on: " in done.stderr
        assert sorted(set(sent(shell))) == everything
        assert len(sent(shell)) < 5000 + 2000
        assert len(api.offsets) - before < 100
        assert list(kept.rglob("*.json")) == []
        assert result(shell.run("poll", "items", "--url", url, "--rate", "300", "--json"))["accepted"] == 5000


def test_an_interrupt_says_how_to_go_on(shell: Shell) -> None:
    """Exit code 130; the command that is printed reads the rest."""
    items = Synthetic(Scenario(events=3000, keys=100))
    with served(items) as url:
        running = shell.start("poll", "items", "--url", url, "--rate", "20")
        until(lambda: len(sent(shell)) > 300)
        assert running.interrupt() == 130
        assert shell.again(running.stderr).returncode == 0
    assert sorted(set(sent(shell))) == items.ids(0, 3000).tolist()


def test_an_interrupt_is_heard_while_nobody_knows_what_there_is(shell: Shell) -> None:
    """The API is down, so even the first page is asked for again and again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = shell.start("poll", "items", "--url", f"http://127.0.0.1:{server.getsockname()[1]}/")
        with server.accept()[0]:
            assert running.interrupt() == 130
    assert "go on with: streamgauge poll" in running.stderr


def test_ids_that_could_not_be_had_are_told_and_read_next_time(shell: Shell) -> None:
    """Exit code 1 and exactly what was not delivered; the same command reads only that."""
    items = Synthetic(Scenario(events=2000, keys=100))
    everything = items.ids(0, 2000).tolist()
    first, last = everything[0] - 5, everything[-1] + 7
    api = Watched(items)
    words = ["poll", "items", "--from-id", str(first), "--to-id", str(last), "--rate", "500"]
    with served(api) as url:
        api.refused = range(everything[700], everything[1100])
        done = shell.run(*words, "--url", url)
        assert done.returncode == 1
        ranges = told(done.stderr)
        missing = [number for number in everything if any(low <= number <= high for low, high in ranges)]
        assert sorted([*sent(shell), *missing]) == everything
        api.refused, api.offsets = range(0), []
        assert shell.run(*words, "--url", url).returncode == 0
        assert all(any(low <= offset <= high for low, high in ranges) for offset in api.offsets)
    assert sent(shell) == everything


def test_without_ends_what_could_not_be_had_is_told_and_the_rest_is_read(shell: Shell) -> None:
    """Though the very first page, and the one that is met when the end is looked for, are given up."""
    items = Synthetic(Scenario(events=2000, keys=100))
    everything = items.ids(0, 2000).tolist()
    api = Watched(items)
    with served(api) as url:
        words = ("poll", "items", "--rate", "500", "--url", url)
        api.refused = range(ANY)
        done = shell.run(*words)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, b"missing ids 0-")
        api.refused = range(everything[700])
        done = shell.run(*words)
        assert done.returncode == 1
        ranges = told(done.stderr)
        missing = [number for number in everything if any(low <= number <= high for low, high in ranges)]
        assert missing
        assert sorted([*sent(shell), *missing]) == everything
        api.refused, api.offsets = range(0), []
        assert shell.run(*words).returncode == 0
        assert all(any(low <= offset <= high for low, high in ranges) for offset in api.offsets)
    assert sent(shell) == everything


def test_an_api_with_faults_is_read_to_its_end(shell: Shell) -> None:
    """Refusals, broken answers: each is asked again, and nothing is sent twice."""
    items = Synthetic(Scenario(events=3000, keys=100))
    faults = {number: FAULTS[number // 4 % len(FAULTS)] for number in range(0, 28, 4)}
    with served(items, lambda number: None if faults.get(number) == "silence" else faults.get(number)) as url:
        done = shell.run("poll", "items", "--url", url, "--rate", "200", "--limit", "100")
    assert done.returncode == 0, done.stderr
    assert sent(shell) == items.ids(0, 3000).tolist()


def test_an_item_over_the_limit_becomes_a_dead_letter_and_the_others_are_read(shell: Shell) -> None:
    """Though the broker would refuse it: exit code 3, and the letter keeps its head, its length and a hash."""
    large = b'{"category_id":8,"food_id":1,"id":2,"note":"%b"}' % (b"x" * 1_200_000)
    others = [b'{"category_id":8,"food_id":1,"id":%d}' % number for number in (1, 3)]
    with served(Recorded([*others, large])) as url:
        done = shell.run("poll", "items", "--url", url, "--json")
    assert (done.returncode, result(done)["accepted"], result(done)["rejected"]) == (3, 2, 1), done.stderr
    assert sent(shell) == [1, 3]
    (letter,) = shell.records("dlq.items")
    assert letter.value == large[:LETTER_BYTES]
    assert letter.headers[LETTER_LENGTH] == b"%d" % len(large)
    assert letter.headers[LETTER_SHA256] == sha256(large).hexdigest().encode()


def test_a_bad_item_before_all_good_ones_becomes_a_dead_letter(shell: Shell) -> None:
    """Without --from-id, too: exit code 3."""

    class First:
        def page(self, offset: int, limit: int) -> tuple[list[bytes], int | None]:
            bad = [b'{"food_id":"x","id":1}'] if offset <= 1 else []
            items, next_offset = real_pages().page(offset, limit - len(bad))
            return [*bad, *items], next_offset

    with served(First()) as url:
        done = shell.run("poll", "items", "--url", url, "--json")
    assert (done.returncode, result(done)["accepted"], result(done)["rejected"]) == (3, 2000, 1), done.stderr
    assert [letter.value for letter in shell.records("dlq.items")] == [b'{"food_id":"x","id":1}']


async def _page(fault: str, requests: list[float], attempts: int) -> int:
    """Ask for a page that comes at an attempt; how many items it has."""

    def meet(number: int) -> str | None:
        requests.append(monotonic())
        return fault if number + 1 < attempts else None

    async def no_time(seconds: float) -> None:
        assert 0 < seconds <= pages.BACK_OFF_S
        await asyncio.sleep(0)

    async with (
        serving(real_pages(), "127.0.0.1", 0, meet, silence_s=5) as url,
        PageApi(url, limit=100, gate=Gate(10_000), sleep=no_time) as api,
    ):
        return len((await api.page(0)).items)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_page_comes_after_any_fault_that_passes(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer in time is one of them; where the API says when, nobody asks earlier."""
    monkeypatch.setattr(pages, "ANSWER_S", 0.2)
    requests: list[float] = []
    assert asyncio.run(_page(fault, requests, attempts=2)) == 100
    assert len(requests) == 2
    if fault in {"429", "503"}:
        assert requests[1] - requests[0] >= 1.0


def test_a_page_is_given_up_after_eight_attempts() -> None:
    """And the reason names the page and what was wrong at last."""
    requests: list[float] = []
    with pytest.raises(PageGivenUp, match=r"offset=0&limit=100 was given up after 8 attempts: 500"):
        asyncio.run(_page("500", requests, attempts=100))
    assert len(requests) == ATTEMPTS


def test_a_page_that_is_given_up_closes_the_gate_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last answer says when to come again, too; that is meant for all readers."""
    monkeypatch.setattr(pages, "ATTEMPTS", 1)
    requests: list[float] = []

    def meet(number: int) -> str | None:
        requests.append(monotonic())
        return None if number else "503"

    async def two_pages() -> None:
        async with (
            serving(real_pages(), "127.0.0.1", 0, meet, silence_s=5) as url,
            PageApi(url, limit=100, gate=Gate(10_000)) as api,
        ):
            with pytest.raises(PageGivenUp):
                await api.page(0)
            await api.page(0)

    asyncio.run(two_pages())
    assert requests[1] - requests[0] >= 1.0


def test_simulate_serves_pages_until_it_is_interrupted(shell: Shell) -> None:
    """The address is the result; recorded pages and synthetic ones; lines of the same items."""
    running = shell.start("simulate", "items", "--serve", "127.0.0.1:0", "--events", "500", "--keys", "50")
    assert running.process.stdout is not None
    url = running.process.stdout.readline().decode().strip()
    assert shell.run("poll", "items", "--url", url).returncode == 0
    lines = shell.run("simulate", "items", "--events", "500", "--keys", "50").stdout.splitlines()
    assert sorted(record.value for record in shell.records("items")) == sorted(lines)
    assert running.interrupt() == 130
    refused = subprocess.run([PROGRAM, "simulate", "sites", "--serve", "h:1"], capture_output=True, check=False)
    assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)
