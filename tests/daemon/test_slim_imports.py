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
slim = {"OpenSSL", "asyncio", "ctypes", "html", "http", "http.cookiejar", "ipaddress", "pickle", "pty", "random"}
slim |= {"textwrap", "tokenize", "twisted.persisted.sob", "twisted.plugin", "zipfile"}
assert not slim & set(sys.modules), slim & set(sys.modules)
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LEAN + script], capture_output=True, text=True)


@pytest.mark.parametrize(
    "script",
    [
        "import asyncio; print(asyncio.run(asyncio.sleep(0, 'it works')))",
        "from http.cookiejar import CookieJar; print('it works', *CookieJar())",
        "import ctypes; ctypes.CDLL(None); print('it works')",
        "from twisted.plugin import getPlugins, IPlugin; list(getPlugins(IPlugin)); print('it works')",
        "from OpenSSL.SSL import Context, TLS_METHOD; Context(TLS_METHOD); print('it works')",
    ],
    ids=["asyncio", "http.cookiejar", "ctypes", "twisted.plugin", "OpenSSL"],
)
def test_it_is_the_real_one(script: str) -> None:
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "it works\n", "")


@pytest.mark.parametrize(
    "script",
    [
        "import twisted.internet.protocol as p; print('it works' if 0 <= p.random.random() < 1 else 'no')",
        "from twisted.python.compat import escape; print(escape('it works'))",
        "from twisted.python.compat import cookielib; print('it works', *cookielib.CookieJar())",
        "from twisted.application.service import Application, IService; IService(Application('x')); print('it works')",
        "from twisted.python.reflect import fullFuncName; assert fullFuncName(id) == 'builtins.id'; print('it works')",
    ],
    ids=["random", "html", "http.cookiejar", "twisted.persisted.sob", "pickle"],
)
def test_what_twisted_has_of_it_works_when_it_is_used(script: str) -> None:
    done = run(script)
    assert (done.returncode, done.stdout) == (0, "it works\n")  # Twisted warns of names that it had for Python 2


def test_what_is_used_of_it_meanwhile_is_the_real_one() -> None:
    script = """
with lean_imports():
    from html import unescape
    import random
    print(unescape("it&#32;works"), random.Random)
print(random.randint(1, 1))
import random as real
print(random.Random is real.Random)
"""
    alone = "from flom.daemon.slim_imports import lean_imports" + script
    done = subprocess.run([sys.executable, "-c", alone], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "it works <class 'random.Random'>\n1\nTrue\n", "")


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
