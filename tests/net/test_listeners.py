"""The UNIX sockets that listen at an address."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from flom.net.listeners import find_listeners


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_the_next_socket_at_an_address_is_another_one(tmp_path: Path, abstract: bool) -> None:
    address = f"\0flom-test-{os.getpid()}" if abstract else str(tmp_path / "a socket")
    found = []
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
            listening.bind(address)
            assert find_listeners(address) == frozenset()
            listening.listen()
            client.connect(address)
            found.append(find_listeners(client.getpeername()))
        if not abstract:
            os.unlink(address)
    first, second = found
    assert (len(first), len(second)) == (1, 1)
    assert first != second
    assert find_listeners(address) == frozenset()


def test_without_the_kernels_table_nothing_is_found(tmp_path: Path) -> None:
    assert find_listeners("/tmp/flom", str(tmp_path / "none")) == frozenset()
