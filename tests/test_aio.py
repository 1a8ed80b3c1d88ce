"""C{flom.aio}, the public names for programs on asyncio; L{tests.client.tasks} has what they do."""

from __future__ import annotations

import inspect
import subprocess
import sys

import flom
import flom.aio


def test_every_name_is_there() -> None:
    assert sorted(flom.aio.__all__) == ["Client", "Held", "Lock", "lock", "lock_all"]
    assert flom.aio.lock is getattr(flom, "aio").lock  # noqa: B009


def test_the_arguments_are_those_of_scripts() -> None:
    """Besides where the daemon is, which a client knows."""
    scripts, tasks = inspect.signature(flom.lock), inspect.signature(flom.aio.lock)
    assert tasks.parameters == scripts.parameters
    client = {*inspect.signature(flom.aio.Client).parameters, *inspect.signature(flom.aio.Client.lock).parameters}
    assert client - {"self"} == set(scripts.parameters)


def test_it_says_what_it_needs() -> None:
    program = "import sys; sys.modules['greenlet'] = None; import flom; flom.aio"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20).stderr
    assert said.splitlines()[-1] == "ModuleNotFoundError: flom.aio needs greenlet: pip install 'txflom[aio]'"
