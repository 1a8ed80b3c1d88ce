"""docs/examples/Dockerfile, as far as it can be run without Docker: its daemon, and what looks whether that is well."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import free_port

DOCKERFILE: Final = (Path(__file__).parents[2] / "docs" / "examples" / "Dockerfile").read_text()


def words_of(instruction: str, root: Path) -> list[str]:
    """Return the words that C{instruction} runs, with its folders below C{root}."""
    [words] = re.findall(rf"^{instruction}\b.*?(\[.*\])$", DOCKERFILE, re.MULTILINE)
    return [f"{root}{word}" if word.startswith("/") else word for word in json.loads(words)]


def test_its_daemon_is_healthy_while_it_runs(tmp_path: Path) -> None:
    """What is added to the daemon's options is what this host needs, as behind the name of an image."""
    for made in re.findall(r"install -d -o flom -g flom (.*)", DOCKERFILE)[0].split():
        (tmp_path / made[1:]).mkdir(parents=True)
    program, *look = words_of("HEALTHCHECK", tmp_path)
    words = words_of("ENTRYPOINT", tmp_path)
    assert words[:4] == ["twistd", "-n", "--pidfile=", "flom"]  # as our daemons for tests are started
    with Daemon(*words[4:], "-p", str(free_port())):
        done = subprocess.run([BIN / program, *look], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
    gone = subprocess.run([BIN / program, *look], capture_output=True, text=True, timeout=30)
    assert gone.returncode == 1
