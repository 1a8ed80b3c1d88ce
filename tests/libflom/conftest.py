"""What the tests of FLoM's library share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from flom.client.blocking.keeper import Keeper
from flom.libflom import (
    calls,
    flom_handle_delete,
    flom_handle_new,
    flom_handle_set_resource_name,
    flom_handle_set_socket_name,
    flom_handle_t,
)
from flom.libflom import handle as module

MakeHandle = Callable[..., flom_handle_t]
"""Makes a handle, for a resource and a socket if they are given."""


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read the configuration anew in each test, and release its locks afterwards."""
    monkeypatch.setattr(module, "_defaults", None)
    yield
    for held in list(calls._held):
        if isinstance(held, Keeper):
            held.abandon()
        else:
            held.close()
    calls._held.clear()


@pytest.fixture
def make() -> Iterator[MakeHandle]:
    """Makes handles; what they have locked is given back in the end."""
    made: list[flom_handle_t] = []

    def make(name: str | None = None, socket: str | None = None) -> flom_handle_t:
        handle = flom_handle_new()
        assert handle is not None
        made.append(handle)
        if name is not None:
            assert flom_handle_set_resource_name(handle, name) == 0
        if socket is not None:
            assert flom_handle_set_socket_name(handle, socket) == 0
        return handle

    yield make
    for handle in made:
        flom_handle_delete(handle)
