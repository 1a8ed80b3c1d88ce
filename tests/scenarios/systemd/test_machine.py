"""The units on a machine on which systemd runs: what an administrator and the users of a host see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.machine import Machine, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

SOCKET = "/run/flom/flom.sock"
PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "systemd.md").read_text()


def blocks(language: str, title: str = "") -> list[str]:
    """Return the blocks of C{language} in the page, below the heading C{title}, or all."""
    part = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0] if title else PAGE
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)


def write(machine: Machine, path: str, text: str) -> None:
    machine.check(f"mkdir -p $(dirname {path}) && cat > {path} <<'END'\n{text}END")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the page was followed, step by step."""
    installation: list[str] = []
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        for line in blocks("sh", "Install the units")[0].splitlines():
            if "venv" not in line and "pip" not in line:  # which has been done, in another way
                installation.append(line)
        machine.check("set -e; " + "\n".join(installation))
        machine.check(blocks("sh", "Have commands find it")[0])  # joe may lock
        yield machine


def as_user(user: str, *words: str) -> str:
    return f"setpriv --reuid={user} --regid={user} --init-groups env HOME=/home/{user} {' '.join(words)}"


def shown(machine: Machine, unit: str, name: str) -> str:
    return machine.check(f"systemctl show --value -p {name} {unit}").strip()


def test_the_first_client_starts_the_daemon_of_a_host(machine: Machine) -> None:
    assert shown(machine, "flom.service", "ActiveState") == "inactive"
    command = as_user("joe", f"flom-run -s {SOCKET} -d 0 -- echo in")
    assert machine.check(command) == "in\n"
    assert shown(machine, "flom.service", "ActiveState") == "active"
    assert shown(machine, "flom.service", "StatusText").startswith("serving, since ")
    assert "FLM003N ready\n" in machine.check("journalctl --no-pager -o cat -u flom -p info")
    assert "FLM003N ready\n" not in machine.check("journalctl --no-pager -o cat -u flom -p notice")


def test_the_daemon_sees_who_its_clients_are(machine: Machine) -> None:
    holder = machine.start(as_user("joe", f"flom-run -s {SOCKET} -d 0 -r seen -- sh -c 'echo in; read x'"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    status = json.loads(machine.check(f"flomctl status -s {SOCKET} --json"))
    shown = next(resource for resource in status["resources"] if resource["name"] == "seen")["holders"][0]
    assert (shown["user"], shown["command"]) == ("joe", "sh")
    holder.communicate("\n", timeout=20)


def test_users_that_are_not_in_the_group_are_refused(machine: Machine) -> None:
    done = machine.run(as_user("eve", f"flom-run -s {SOCKET} -d 0 -- echo in"))
    assert (done.returncode, done.stdout) == (99, f"flom-run: {SOCKET}: permission denied\n")


def hang(machine: Machine) -> None:
    """Stop the daemon where its loop would hang; its watchdog has a second."""
    drop_in = "/run/systemd/system/flom.service.d"
    machine.check(f"mkdir -p {drop_in} && printf '[Service]\\nWatchdogSec=1\\n' > {drop_in}/watchdog.conf")
    machine.check("systemctl daemon-reload && systemctl restart flom && systemctl kill -s STOP flom")


ENDS = {
    "restarted": lambda machine: machine.check("systemctl restart flom"),
    "hanging": hang,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_command_keeps_its_lock_when_the_daemon_is(machine: Machine, end: str) -> None:
    before = shown(machine, "flom.service", "NRestarts")
    words = f"flom-run -s {SOCKET} -d 0 -r kept"
    holder = machine.start(as_user("joe", words, "-- sh -c 'echo in; read x'"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    ENDS[end](machine)
    if end != "restarted":
        machine.check(f"until test $(systemctl show --value -p NRestarts flom) != {before}; do sleep 0.05; done")
    assert machine.run(as_user("joe", words, "-o 0 -- echo stolen")).stdout == "flom-run: kept: locked\n"
    said, _ = holder.communicate("\n", timeout=20)
    assert (holder.returncode, said) == (0, "")


def test_a_group_s_daemon_with_tls_has_all_rights_it_needs(machine: Machine, tmp_path: Path) -> None:
    files = Authority(tmp_path / "ca", "Test authority").issue("host")
    settings = "[Daemon]\nMulticastAddress=239.255.1.2\n[Network]\nNetworkInterface=lo\n[TLS]\n"
    names = {"TlsCertificate": files.certificate, "TlsPrivateKey": files.key, "TlsCaCertificate": files.authority}
    for key, path in names.items():
        settings += f"{key}=/etc/flom/{Path(path).name}\n"
        write(machine, f"/etc/flom/{Path(path).name}", Path(path).read_text())
    machine.check("chgrp flom /etc/flom/*.key && chmod 640 /etc/flom/*.key")
    write(machine, "/etc/flom/here.conf", settings)
    machine.check("systemctl start flom@here")
    assert shown(machine, "flom@here", "StatusText").startswith("leading 239.255.1.2:28015 by lo, since ")
    assert machine.check("flom-run -c /etc/flom/here.conf -d 0 -- echo in") == "in\n"
    machine.check("systemctl reload flom@here")
    machine.check("until journalctl -u flom@here | grep -q 'reloaded: new connections use'; do sleep 0.05; done")
    assert shown(machine, "flom@here", "ActiveState") == "active"


def test_without_settings_a_group_s_daemon_is_not_started(machine: Machine) -> None:
    done = machine.run("systemctl start flom@none")
    assert (done.returncode, done.stdout) == (1, "Assertion failed on job for flom@none.service.\n")


# docs/howto/systemd.md, "Jobs that are units"

JOB = "systemd-run --quiet --collect -p Environment=LD_LIBRARY_PATH=/opt/python/lib -p Environment=PATH=$PATH"


def test_a_daemon_of_a_user_ends_with_its_unit_and_no_lock_does(machine: Machine) -> None:
    """The user's own systemd does not run, so the daemon stays in the first unit; another job holds a lock of it."""
    first = "flom-run -r first -- sh -c 'until test -e /tmp/over; do sleep 0.05; done'"
    second = "flom-run -r second -- sh -c 'touch /tmp/held; until test -e /tmp/end; do sleep 0.05; done'"
    machine.check(f"{JOB} --unit=first -p User=joe {first}")
    machine.check("until pgrep -x flom -u joe; do sleep 0.05; done")
    assert "/system.slice/first.service\n" in machine.check("cat /proc/$(pgrep -x flom -u joe)/cgroup")
    machine.check(f"{JOB} --unit=second -p User=joe -p PrivateTmp=no {second}")
    machine.check("until test -e /tmp/held; do sleep 0.05; done; touch /tmp/over")
    machine.check("while systemctl is-active -q first; do sleep 0.05; done")
    assert machine.run(as_user("joe", "flom-run -r second -o 0 -- echo stolen")).returncode == 98
    machine.check("touch /tmp/end; while systemctl is-active -q second; do sleep 0.05; done")
    assert machine.run("systemctl is-failed second").returncode != 0


def test_the_settings_of_the_page_do_what_it_says(machine: Machine) -> None:
    for block in blocks("ini"):
        path = block.splitlines()[0].removeprefix("# ")
        assert path.startswith("/etc/"), block
        write(machine, path, block)
    write(machine, "/etc/default/flom", blocks("sh", "Have commands find it")[1])
    units = "/etc/systemd/system"
    machine.check("systemctl daemon-reload && systemctl stop flom.socket flom && systemctl start flom.socket flom")
    assert machine.run(f"systemd-analyze verify --man=no {units}/flom.service {units}/flom.socket").stdout == ""
    assert machine.check(as_user("eve", "flom-run -r page -- echo in")) == "in\n"  # without -s, and in no group
    assert machine.check("flom-run -a ::1 -p 28015 -d 0 -r page -- echo in") == "in\n"
    ready = "import urllib.request as u; print(u.urlopen('http://localhost:9180/readyz').read().decode())"
    assert machine.check(f'python3 -c "{ready}"').startswith("serving")
    machine.check(as_user("eve", "flomctl status -s", SOCKET))

    holder = machine.start(as_user("joe", "flom-run -r drained -- sh -c 'echo in; sleep 0.5; echo out'"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    machine.check("systemctl stop flom.socket flom")
    assert holder.communicate(timeout=20)[0] == "out\n"
    assert "drain shutdown ordered by" in machine.check("journalctl -o cat -u flom")
