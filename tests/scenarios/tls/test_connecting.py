"""A program's own connections, encrypted (docs/howto/programming.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from flom.client import connect
from flom.config import Config
from flom.errors import FlomError
from tests.fakes.authority import Files
from tests.fakes.daemon import Daemon

loop: Any = reactor


def config(path: str, files: Files) -> Config:
    return Config(
        socket_name=path,
        tls_certificate=files.certificate,
        tls_private_key=files.key,
        tls_ca_certificate=files.authority,
    )


@pytest_twisted.ensureDeferred
async def test_a_program_with_a_certificate_is_served_and_one_without_is_not(
    tmp_path: Path, files: Mapping[str, Files]
) -> None:
    path = str(tmp_path / "flom.sock")
    with Daemon("--socket-name", path, *files["good"].options(), ready="listening on"):
        async with await connect(loop, config(path, files["good"])) as locks:
            for _ in range(3):
                async with locks.acquire("R1", timeout=10):
                    pass
        with pytest.raises(
            FlomError,
            match=f"^R1: {path} closed the connection without an answer; it may want TLS, or have reached a limit$",
        ):
            await (await connect(loop, Config(socket_name=path))).acquire("R1")
        with pytest.raises(FlomError, match=r"^R1: .* it does not trust the authority"):
            await (await connect(loop, config(path, files["from another authority"]))).acquire("R1")
