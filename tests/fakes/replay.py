"""
Replaying the golden recordings of a real FLoM daemon (tests/transcripts.jsonl) against ours.

As a program, it replays the recording that its argument names: so one can be played inside a network namespace.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Final

from tests.fakes.daemon import Daemon

Transcript = dict[str, Any]

TRANSCRIPTS: Final[dict[str, Transcript]] = {
    transcript["name"]: transcript
    for line in Path(__file__).parents[1].joinpath("transcripts.jsonl").read_text("utf-8").splitlines()
    for transcript in [json.loads(line)]
}

PEER_ID: Final = "0123456789abcdef0123456789abcdef"
_PATIENCE: Final = 5.0  # seconds that a message may take; only a test that fails waits for so long
_PORT: Final = 28015
_UNICAST: Final = "192.0.2.10"
_PLACEHOLDERS: Final = {"{PEERID}": ".+", "{PORT}": "[1-9][0-9]*", "{TS}": ".+"}


def replay_unix(transcript: Transcript, path: str) -> None:
    """Replay a recording of a UNIX socket against the fresh daemon that listens on C{path}; this blocks."""
    _Replay(transcript, socket.AF_UNIX, socket.SOCK_STREAM, path).run()


def replay_udp(transcript: Transcript) -> None:
    """Replay a recording of discovery; this host must have the addresses that it names."""
    arguments = transcript["daemon"].split()
    group = arguments[arguments.index("-A") + 1]
    with Daemon(*arguments, ready="leading"):
        family = socket.AF_INET6 if ":" in group else socket.AF_INET
        asked = group if transcript["to"] == "multicast" else _UNICAST
        _Replay(transcript, family, socket.SOCK_DGRAM, (asked, _PORT)).run()


class _Replay:
    """One recording on its way."""

    def __init__(self, transcript: Transcript, family: int, kind: int, address: Any) -> None:
        self._steps = transcript["steps"]
        self._family = family
        self._kind = kind
        self._address = address
        self._connections: dict[str, socket.socket] = {}
        self._received: dict[str, bytes] = {}

    def run(self) -> None:
        """Play all steps; a step that goes differently fails."""
        try:
            for number, step in enumerate(self._steps):
                try:
                    self._step(step["conn"], step)
                except AssertionError as e:
                    raise AssertionError(f"step {number} {step}: {e}") from e
        finally:
            for connection in self._connections.values():
                connection.close()

    def _step(self, label: str, step: dict[str, Any]) -> None:
        if label not in self._connections:
            self._connections[label] = self._open()
            self._received[label] = b""
        match step:
            case {"send": text}:
                self._send(label, text.replace("{PEERID}", PEER_ID).encode())
            case {"recv": text}:
                assert_same(self._receive(label), text)
            case {"closed": True}:
                assert self._read(label, _PATIENCE) == b"", "not closed"
            case {"close": True}:
                self._connections[label].close()
                time.sleep(0.05)  # the recordings ask for it: nothing tells when the daemon has noticed
            case {"silent_ms": milliseconds}:
                assert self._read(label, milliseconds / 1000) is None, "not silent"
            case _:
                raise AssertionError("no such step")

    def _open(self) -> socket.socket:
        connection = socket.socket(self._family, self._kind)
        if self._kind == socket.SOCK_STREAM:
            connection.connect(self._address)
        return connection

    def _send(self, label: str, data: bytes) -> None:
        if self._kind == socket.SOCK_STREAM:
            self._connections[label].sendall(data)
        else:
            self._connections[label].sendto(data, self._address)

    def _receive(self, label: str) -> str:
        """Return exactly one message."""
        end = b"</msg>"
        while end not in self._received[label]:
            data = self._read(label, _PATIENCE)
            assert data, f"{'nothing' if data is None else 'the end'} after {self._received[label]!r}"
            self._received[label] += data
        message, _, self._received[label] = self._received[label].partition(end)
        return (message + end).decode()

    def _read(self, label: str, seconds: float) -> bytes | None:
        """Return what arrives within C{seconds}, nothing at the end of the stream, C{None} for silence."""
        assert not self._received[label] or self._kind == socket.SOCK_STREAM
        self._connections[label].settimeout(seconds)
        try:
            return self._connections[label].recv(4096)
        except ConnectionResetError:
            return b""
        except TimeoutError:
            return None


def assert_same(got: str, wanted: str) -> None:
    """Compare two messages but for the order of attributes; C{wanted} may have placeholders."""
    declaration = re.match(r"<\?.*?\?>", wanted)
    assert declaration is None or got.startswith(declaration[0]), f"got {got!r}"
    assert _is_same(ET.fromstring(got), ET.fromstring(wanted)), f"got {got!r}"


def _is_same(got: ET.Element, wanted: ET.Element) -> bool:
    return (
        got.tag == wanted.tag
        and got.attrib.keys() == wanted.attrib.keys()
        and all(_fits(got.attrib[name], wanted.attrib[name]) for name in wanted.attrib)
        and len(got) == len(wanted)
        and all(map(_is_same, got, wanted))
    )


def _fits(got: str, wanted: str) -> bool:
    pattern = _PLACEHOLDERS.get(wanted)
    return got == wanted if pattern is None else re.fullmatch(pattern, got) is not None


if __name__ == "__main__":
    replay_udp(TRANSCRIPTS[sys.argv[1]])
