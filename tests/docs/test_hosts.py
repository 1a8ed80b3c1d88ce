"""The hosts of a page, and their shells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import Shown
from tests.docs.hosts import Hosts
from tests.fakes.netns import needs_network_namespaces

pytestmark = needs_network_namespaces


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with Hosts(["one", "two"], tmp_path) as hosts:
        yield hosts


def run(hosts: Hosts, host: str, command: str, *output: str) -> list[str]:
    """Run a command, and return what it printed, which should become C{output}."""
    return hosts.shells[host].run(Shown(1, host, command, list(output)), limit=5.0)


def test_each_host_has_places_and_processes_of_its_own(hosts: Hosts) -> None:
    run(hosts, "one", "touch /tmp/file /run/file /etc/file file; sleep 60 &")
    assert run(hosts, "two", "ls /tmp/file /run/file /etc/file file 2> /dev/null; pgrep sleep; hostname", "two") == [
        "two"
    ]
    ids = [run(hosts, host, "cat /etc/machine-id", "...") for host in ("one", "two")]
    assert ids[0] != ids[1]


def test_hosts_know_each_other_by_name_and_share_one_folder(hosts: Hosts) -> None:
    assert run(hosts, "one", "getent hosts two", "192.0.2.2       two") == ["192.0.2.2       two"]
    run(hosts, "one", "echo text > /mnt/file")
    assert run(hosts, "two", "cat /mnt/file", "text") == ["text"]


def test_a_shell_stays_from_command_to_command(hosts: Hosts) -> None:
    run(hosts, "one", "cd /tmp; word=hello; function greet { echo $word $PWD; return 3; }")
    assert run(hosts, "one", "greet", "hello /tmp") == ["hello /tmp"]
    assert run(hosts, "one", "echo $?", "3") == ["3"]


def test_what_a_background_job_prints_is_waited_for(hosts: Hosts) -> None:
    assert run(hosts, "one", "(sleep 0.2; echo begins; sleep 0.2; echo ends) &", "begins") == ["begins"]
    assert run(hosts, "one", "true", "ends") == ["ends"]


def test_jobs_can_be_killed_and_waited_for(hosts: Hosts) -> None:
    run(hosts, "one", "sleep 60 &")
    assert run(hosts, "one", "kill %1; wait %1; echo $?", "143")[-1] == "143"


def test_commands_are_on_a_terminal_but_those_of_jobs_read_nothing(hosts: Hosts) -> None:
    assert run(hosts, "one", "test -t 0 && test -t 1 && test -t 2 && tput cols", "80") == ["80"]
    assert run(hosts, "one", "cat & wait; echo done", "done") == ["done"]
