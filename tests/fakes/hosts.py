"""Three daemons at addresses of the loopback network, of which a test says which one leads."""

from __future__ import annotations

from flom.config import Config
from tests.fakes.peers import FakeHost
from tests.fakes.programs import free_port


class SeveralHosts:
    """
    As a context manager, they are gone outside.

    @ivar hosts: none of them answers before the test says so.
    @ivar config: names them all.
    @ivar names: of all of them, as errors list them.
    """

    def __init__(self) -> None:
        port = free_port()
        self.hosts = [FakeHost(f"127.0.0.{number}", port) for number in (2, 3, 4)]
        self.config = Config(unicast_address="127.0.0.2, 127.0.0.3,127.0.0.4", unicast_port=port)
        self.names = f"127.0.0.2:{port}, 127.0.0.3:{port} and 127.0.0.4:{port}"

    def __enter__(self) -> SeveralHosts:
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.close()
