"""What is left out while Twisted is imported for a daemon is there for whoever wants it later."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEAN = """
import sys
from flom.daemon.slim_imports import lean_imports
with lean_imports():
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater
assert not {"asyncio", "http.cookiejar", "OpenSSL"} & set(sys.modules)
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LEAN + script], capture_output=True, text=True)


@pytest.mark.parametrize(
    "script",
    [
        "import asyncio; print(asyncio.run(asyncio.sleep(0, 'it works')))",
        "from http.cookiejar import CookieJar; print('it works', *CookieJar())",
        "from OpenSSL.SSL import Context, TLS_METHOD; Context(TLS_METHOD); print('it works')",
    ],
    ids=["asyncio", "http.cookiejar", "OpenSSL"],
)
def test_it_is_the_real_one(script: str) -> None:
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "it works\n", "")


COROUTINE = """
async def later():
    return await deferLater(reactor, 0, lambda: "it works")
def end(result):
    print(result)
    reactor.stop()
Deferred.fromCoroutine(later()).addBoth(end)
reactor.run()
"""


def test_coroutines_run_in_such_a_twisted() -> None:
    done = run(COROUTINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "it works\n", "")


def test_what_was_there_before_stays() -> None:
    script = "import asyncio\nbefore = asyncio\nwith lean_imports():\n import asyncio\n print(asyncio is before)"
    assert run(script).stdout == "True\n"


def test_what_fails_meanwhile_leaves_nothing_behind() -> None:
    script = """
try:
    with lean_imports():
        raise ValueError
except ValueError:
    import asyncio
    print(asyncio.Lock.__name__)
"""
    assert run(script).stdout == "Lock\n"
