"""The page in a real browser: locks come and go on it without a reload, and names stay text."""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from flom.status.json import from_json
from flom.status.model import ResourceStatus
from tests.fakes.connections import lock
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import Programs, Running, eventually, free_port
from tests.scenarios.browser.page import Page

NASTY = "/<img src=x onerror=alert(1)>"


@pytest.fixture
def port() -> int:
    """Where the page is."""
    return free_port()


def start_daemon(sock: str, port: int, *words: str) -> Daemon:
    return Daemon(
        "--socket-name", sock, *words, "--http", f"tcp:{port}:interface=127.0.0.1", ready="showing what is locked"
    )


@pytest.fixture
def shown(sock: str, port: int, page: Page) -> Iterator[Page]:
    """The page of a daemon that is there."""
    with start_daemon(sock, port):
        page.open(port)
        yield page


class Locks:
    """Commands under locks."""

    def __init__(self, programs: Programs, sock: str) -> None:
        self._programs = programs
        self._sock = sock

    def hold(self, *words: str) -> Running:
        """Run a command under the lock that C{words} describe."""
        running = self.ask(*words)
        assert running.line() == "held"
        return running

    def ask(self, *words: str) -> Running:
        """Begin the same without waiting; it ends when its stdin does."""
        return self._programs.start("-s", self._sock, *words, "--", "sh", "-c", "echo held; read line")


@pytest.fixture
def locks(programs: Programs, sock: str) -> Locks:
    return Locks(programs, sock)


def resource_at(port: int, name: str) -> ResourceStatus:
    """Ask the daemon itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status.json", timeout=20) as answer:
        status = from_json(answer.read())
    [resource] = [resource for resource in status.resources if resource.name == name]
    return resource


def test_locks_appear_move_from_waiting_to_holding_and_vanish(shown: Page, locks: Locks) -> None:
    shown.wait_until("!document.querySelector('#nothing').hidden")
    first = locks.hold("-r", "backup")
    shown.wait_for("backup", 1, 0)
    [holder] = shown.holders("backup")
    second = locks.ask("-r", "backup")
    shown.wait_for("backup", 1, 1)
    [waiter] = shown.waiters("backup")
    assert waiter != holder
    assert shown.drawn("backup") == {"holders": [f"EX {holder}"], "waiters": [f"EX {waiter}"], "lines": ["blocks"] * 2}
    first.finish()
    shown.wait_for("backup", 1, 0)
    assert shown.holders("backup") == [waiter]
    shown.wait_until("document.querySelector('#blocking').hidden")
    second.finish()
    shown.wait_for_absence("backup")
    assert not shown.is_reloaded
    assert shown.complaints() == []


def test_a_name_stays_text(shown: Page, locks: Locks) -> None:
    holder, waiter = locks.hold("-r", NASTY), locks.ask("-r", NASTY)
    shown.wait_for(NASTY, 1, 1)
    shown.wait_until("document.querySelector('.graph svg')")
    shown.filter(NASTY)
    shown.wait_until("document.querySelector('#shown').textContent === '1 of 1 resource'")
    assert shown.run("return document.querySelectorAll('img').length") == 0
    assert shown.complaints() == []
    for running in (holder, waiter):
        running.finish()


def test_the_browser_itself_would_not_let_a_name_become_markup(shown: Page) -> None:
    with pytest.raises(Exception, match="TrustedHTML"):
        shown.run("document.body.innerHTML = arguments[0]", NASTY)


def test_the_page_draws_the_blockers_that_the_daemon_computes(shown: Page, locks: Locks, port: int) -> None:
    for words in (["-r", "/a/b"], ["-r", "/a/c"], ["-r", "/d", "-l", "PR"]):
        locks.hold(*words)
    waiting = [locks.ask("-r", name) for name in ("/a/b/x", "/a", "/d")]
    for resource in ("/a", "/d"):
        shown.wait_until(
            "[...document.querySelectorAll('.card')].some((one) => one.querySelector('h3').textContent === arguments[0]"
            " && one.querySelectorAll('.waiters li').length === arguments[1])",
            resource,
            2 if resource == "/a" else 1,
        )
    tree = resource_at(port, "/a/b")
    blockers = {waiter.pid: [holder.pid for holder in tree.blockers(waiter)] for waiter in tree.waiters}
    assert sorted(map(len, blockers.values())) == [1, 2]
    shown.wait_until("document.querySelectorAll('.graph svg').length === 2")
    drawn = shown.drawn("/a")
    assert drawn is not None
    assert {text.partition("pid ")[2].split()[0] for text in drawn["holders"]} == {
        str(pid) for pids in blockers.values() for pid in pids
    }
    assert {text.partition("pid ")[2].split()[0] for text in drawn["waiters"]} == {str(pid) for pid in blockers}
    assert len(drawn["lines"]) == 2 + 3  # from each waiter to a joint, and from there to each holder
    for running in waiting:
        running.signal(signal.SIGKILL)


def test_what_is_held_is_told(shown: Page, locks: Locks) -> None:
    locks.hold("-r", "seats[10]", "-q", "3")
    locks.hold("-r", "red.green.blue")
    locks.ask("-r", "later", "--resource-create", "no")
    shown.wait_for("seats[10]", 1, 0)
    shown.wait_for("red.green.blue", 1, 0)
    text = shown.run("return document.body.innerText")
    assert "7 units free" in text
    assert "free: " in text
    shown.wait_until("!document.querySelector('#incubator').hidden")
    shown.wait_until("document.querySelector('#incubated').textContent.includes('later')")
    assert "grants per second" in text


def test_the_past_is_there_when_the_page_is_opened(sock: str, port: int, page: Page, locks: Locks) -> None:
    with start_daemon(sock, port):
        first = locks.hold("-r", "backup")
        second = locks.ask("-r", "backup")
        eventually(lambda: resource_at(port, "backup").waiters, "that the second one waits")
        first.finish()
        assert second.line() == "held"
        page.open(port)
        page.wait_until("document.querySelector('#plot-grants path').getAttribute('d')")
        page.wait_until("document.querySelector('#plot-waits path').getAttribute('d')")


def test_blocked_resources_come_first_and_the_filter_finds_any(shown: Page, locks: Locks) -> None:
    for number in range(4):
        locks.hold("-r", f"job{number}")
    locks.ask("-r", "job2")
    shown.wait_for("job2", 1, 1)
    shown.wait_for("job3", 1, 0)
    assert shown.names() == ["job2", "job0", "job1", "job3"]
    shown.filter("JOB3")
    shown.wait_until("document.querySelectorAll('.card').length === 1")
    assert shown.names() == ["job3"]
    [who] = shown.holders("job3")
    shown.filter(who)
    shown.wait_until("document.querySelector('#shown').textContent === '1 of 4 resources'")
    shown.filter("nowhere")
    shown.wait_until("document.querySelector('#nothing').textContent.includes('filter')")
    assert not shown.complaints()


def test_resources_are_sorted_as_the_user_chooses(shown: Page, locks: Locks) -> None:
    for name in ("job10", "job9", "many"):
        locks.hold("-r", name)
    waiting = [locks.ask("-r", "job10")]
    shown.wait_for("job10", 1, 1)
    waiting += [locks.ask("-r", "many") for _ in range(2)]
    shown.wait_for("many", 1, 2)
    assert shown.names() == ["job10", "many", "job9"]
    orders = {
        "most waiting": ["many", "job10", "job9"],
        "longest held": ["job10", "job9", "many"],
        "newest": ["many", "job9", "job10"],
        "name": ["job9", "job10", "many"],
    }
    for order, names in orders.items():
        shown.sort_by(order)
        assert shown.names() == names
    for running in waiting:
        running.signal(signal.SIGKILL)


def test_a_deadlock_is_told_at_the_top(shown: Page, locks: Locks, sock: str, programs: Programs) -> None:
    def cross(first: str, second: str) -> Running:
        words = ["-s", sock, "-r", first, "--", "sh", "-c"]
        inner = f"echo held; read line; exec {BIN / 'flom'} -s '{sock}' -r {second} -- true"
        running = programs.start(*words, inner)
        assert running.line() == "held"
        return running

    assert shown.texts("#deadlocks") == []
    one, other = cross("red", "blue"), cross("blue", "red")
    for running in (one, other):
        running.say("")
    shown.wait_until("!document.querySelector('#deadlocks').hidden")
    [heading] = shown.texts("#deadlocks-title")
    assert heading == "1 deadlock: these wait for each other, and none of them can go on."
    steps = shown.texts("#circles ul li")
    assert sorted(re.sub(r"\S+ pid \d+|pid \d+", "pid N", step) for step in steps) == [  # one began to wait first
        "pid N waits for blue, which pid N (EX) holds",
        "pid N waits for red, which pid N (EX) holds",
    ]
    assert shown.barriers() == []
    one.signal(signal.SIGKILL)
    other.signal(signal.SIGKILL)
    assert shown.complaints() == []


def test_one_resource_has_a_page_with_its_queue_and_what_was_seen(shown: Page, locks: Locks) -> None:
    first = locks.hold("-r", "/db/users/42")
    second = locks.ask("-r", "/db")
    shown.wait_for("/db", 1, 1)
    shown.click(".card h3 a")
    shown.wait_until("document.querySelector('#resource-name').textContent === '/db'")
    assert shown.texts(".card") == []
    assert shown.texts("#holding .what") == ["EX /db/users/42"]
    assert shown.texts("#queue .what") == ["EX"]
    [waiter] = shown.texts("#queue .who")
    assert shown.barriers() == []
    first.finish()
    shown.wait_until("document.querySelectorAll('#queue tr').length === 0")
    assert shown.texts("#holding .who") == [waiter]
    seen = shown.texts("#history span")
    assert [f"{waiter} EX is granted after" in seen[0], "has ended after" in seen[1]] == [True, True]
    second.finish()
    shown.wait_until("document.querySelector('#resource-facts').textContent.startsWith('hierarchical')")
    shown.wait_until("document.querySelectorAll('#holding tr').length === 0")
    shown.click("nav a")
    shown.wait_until("document.querySelector('#tiles').checkVisibility()")
    assert shown.complaints() == []


def test_the_address_of_a_resource_can_be_sent_to_others(shown: Page, locks: Locks, port: int) -> None:
    locks.hold("-r", NASTY)
    shown.open(port, f"#resource={quote(NASTY)}")
    shown.wait_until("document.querySelectorAll('#holding tr').length === 1")
    assert shown.texts("#resource-name") == [NASTY]
    shown.open(port, "#resource=nowhere")
    shown.wait_until("document.querySelector('#resource-facts').textContent.startsWith('Nothing holds it')")
    shown.open(port, "#resource=%")  # no text
    assert shown.texts("#resource-name") == []
    assert shown.complaints() == []


def test_who_has_waited_for_longest_is_told(shown: Page, locks: Locks) -> None:
    locks.hold("-r", "backup")
    assert "nonelongest wait" in shown.texts("#tiles div")[4].replace("longest waitnone", "nonelongest wait")
    locks.ask("-r", "backup")
    shown.wait_for("backup", 1, 1)
    shown.wait_until("/longest wait ([0-9]+|<1) s/.test(document.querySelector('#plot-waits output').textContent)")
    assert re.search(r"longest wait(<1|\d+) s", shown.texts("#tiles div")[4])


def test_a_daemon_that_is_killed_and_started_again_is_noticed(sock: str, port: int, page: Page, locks: Locks) -> None:
    with start_daemon(sock, port) as daemon:
        page.open(port)
        holder = locks.hold("-r", "backup", "-d", "0")  # or else it would start the next daemon itself
        page.wait_for("backup", 1, 0)
        daemon.process.kill()
        page.wait_until("document.querySelector('#trouble').textContent.includes('unreachable since')")
        page.wait_until("document.querySelector('#state').textContent === 'unreachable'")
        holder.signal(signal.SIGSTOP)
    with start_daemon(sock, port):
        page.wait_until("/^in grace for [0-9]+ s: only/.test(document.querySelector('#state').textContent)")
        holder.signal(signal.SIGCONT)
        page.wait_until("document.querySelector('#state').textContent === 'serving'")
        page.wait_until("document.querySelector('#trouble').hidden")
        locks.hold("-r", "another")
        page.wait_for("another", 1, 0)
        page.wait_for("backup", 1, 0)  # reclaimed
    assert not page.is_reloaded


def test_a_holder_whose_connection_is_broken_is_shown_as_such(sock: str, port: int, page: Page) -> None:
    address = ("127.0.0.1", free_port())
    words = ["--unicast-address", address[0], "--unicast-port", str(address[1])]
    with start_daemon(sock, port, *words), socket.create_connection(address, timeout=20) as holder:
        holder.sendall(lock("backup").replace(b'step="8"', b'step="8" extended="1"'))
        assert b"session=" in holder.recv(1000)
        page.open(port)
        page.wait_for("backup", 1, 0)
        assert "in grace" not in page.holders("backup")[0]
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        holder.close()  # by a reset
        page.wait_until("document.querySelector('.in-grace .who')?.textContent.endsWith(', in grace')")
        assert "its connection is broken" in page.run("return document.querySelector('.in-grace').title")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360])
def test_a_phone_scrolls_one_way_only(shown: Page, locks: Locks, scheme: str, width: int) -> None:
    shown.resize(width, 740, mobile=True)
    shown.prefer(scheme)
    long = "/" + "/".join(["quite-a-long-name"] * 12)
    for name in (long, "n" * 120):
        locks.hold("-r", name)
        locks.ask("-r", name)
        shown.wait_for("/quite-a-long-name" if name == long else name, 1, 1)
    shown.wait_until("document.querySelectorAll('.graph svg').length === 2")
    assert shown.run("return document.documentElement.scrollWidth") <= width
    drawn = shown.drawn("n" * 120)
    assert drawn is not None
    assert [re.fullmatch(r"pid \d+", text) for text in drawn["holders"] + drawn["waiters"]].count(None) == 0
    assert shown.barriers() == []
    ground = shown.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(20, 23, 26)") is (scheme == "dark")


def test_what_hinders_people_would_be_found(shown: Page) -> None:
    shown.run("document.body.append(document.createElement('img'))")
    assert any(barrier.startswith("image-alt: ") for barrier in shown.barriers())


def test_nothing_is_fetched_from_elsewhere(shown: Page, port: int) -> None:
    fetched = shown.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert {url.rpartition("/")[0] for url in fetched} == {f"http://127.0.0.1:{port}"}


def test_hundreds_are_capped_and_said_to_be(shown: Page, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/page.json", timeout=20) as answer:
        page = json.load(answer)
    lock = {"number": 0, "address": "localhost/", "peer_id": None, "pid": 1, "uid": 0, "name": "", "mode": "EX"}
    lock |= {"quantity": None, "element": None, "seconds": 5.0}

    def locks(first: int, many: int) -> list[dict[str, object]]:
        return [lock | {"number": first + number, "pid": first + number} for number in range(many)]

    page["status"]["resources"] = [
        {"number": number * 1000, "name": f"job{number}", "type": "simple", "seconds": 9.0, "free": None}
        | {"idle_left": None, "holders": locks(number * 1000 + 1, 1), "waiters": locks(number * 1000 + 2, 300)}
        for number in range(200)
    ]
    page["blocking"] = {str(number * 1000): {"EX ": [number * 1000 + 1]} for number in range(200)}
    shown.run(
        """
        const page = arguments[0];
        window.fetch = async () => new Response(page);
        """,
        json.dumps(page),
    )
    shown.wait_until("document.querySelectorAll('.card').length === 60")
    assert shown.run("return document.querySelector('#more').textContent") == "Show 60 more of 140"
    shown.wait_until("document.querySelectorAll('.graph svg').length === 12")
    text = shown.run("return document.body.innerText")
    assert "and 292 more" in text
    assert "292 more waiters not drawn" in text
    assert "188 more blocked resources are not drawn" in text
    shown.run("document.querySelector('#more').click()")
    shown.wait_until("document.querySelectorAll('.card').length === 120")
    shown.filter("300")  # a process somewhere in the middle of a queue
    shown.wait_until("document.querySelector('.card .waiters li .who').textContent.includes('300')")
