"""A forked child does not share a connection; that it cannot keep or release a lock is tested in test_lock.py."""

from __future__ import annotations

import os
import socket

from flom.client.blocking.fork_safety import close_socket, open_socket


def test_a_socket_does_not_block_and_no_program_inherits_it() -> None:
    made = open_socket(socket.AF_UNIX, socket.SOCK_STREAM)
    assert not made.getblocking()
    assert not os.get_inheritable(made.fileno())
    close_socket(made)
    assert made.fileno() == -1


def test_a_forked_child_does_not_have_it() -> None:
    made = open_socket(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if not child:
        os._exit(0 if made.fileno() == -1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert made.fileno() != -1
    close_socket(made)


def test_a_child_can_open_its_own() -> None:
    child = os.fork()
    if not child:
        os._exit(0 if open_socket(socket.AF_UNIX, socket.SOCK_STREAM).fileno() != -1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
