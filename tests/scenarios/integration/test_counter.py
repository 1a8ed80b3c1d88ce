"""The promise in one picture: many commands read, add one and write back, and nothing is lost."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fakes.daemon import FLOM_RUN, Daemon

ADD_ONE = 'read n < "$0"; echo $((n + 1)) > "$0"'


def test_200_commands_20_at_a_time_count_to_200(daemon: Daemon, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0\n")

    def add_one(_: int) -> int:
        command = [FLOM_RUN, "--socket-name", daemon.socket, "-d", "0", "--", "sh", "-c", ADD_ONE, str(counter)]
        return subprocess.run(command, timeout=120).returncode

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(add_one, range(200))) == {0}
    assert counter.read_text() == "200\n"
