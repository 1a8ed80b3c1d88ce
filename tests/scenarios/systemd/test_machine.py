"""The units on a machine on which systemd runs: what an administrator and the users of a host see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.machine import Machine, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

SOCKET = "/run/flom/flom.sock"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        machine.check("systemd-sysusers && systemd-tmpfiles --create --prefix=/run/flom")
        yield machine


def as_user(user: str, *words: str) -> str:
    return f"setpriv --reuid={user} --regid={user} --init-groups env HOME=/home/{user} {' '.join(words)}"


def shown(machine: Machine, unit: str, name: str) -> str:
    return machine.check(f"systemctl show --value -p {name} {unit}").strip()


def test_the_first_client_starts_the_daemon_of_a_host(machine: Machine) -> None:
    machine.check("systemctl start flom.socket")
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
    "killed": lambda machine: machine.check("systemctl kill -s KILL flom"),
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
    machine.check("mkdir -p /etc/flom")
    for key, path in names.items():
        settings += f"{key}=/etc/flom/{Path(path).name}\n"
        machine.check(f"cat > /etc/flom/{Path(path).name} <<'END'\n{Path(path).read_text()}END")
    machine.check("chgrp flom /etc/flom/*.key && chmod 640 /etc/flom/*.key")
    machine.check(f"cat > /etc/flom/here.conf <<'END'\n{settings}END")
    machine.check("systemctl start flom@here")
    assert shown(machine, "flom@here", "StatusText").startswith("leading 239.255.1.2:28015 by lo, since ")
    assert machine.check("flom-run -c /etc/flom/here.conf -d 0 -- echo in") == "in\n"
    machine.check("systemctl reload flom@here")
    machine.check("until journalctl -u flom@here | grep -q 'reloaded: new connections use'; do sleep 0.05; done")
    assert shown(machine, "flom@here", "ActiveState") == "active"


def test_without_settings_a_group_s_daemon_is_not_started(machine: Machine) -> None:
    done = machine.run("systemctl start flom@none")
    assert (done.returncode, done.stdout) == (1, "Assertion failed on job for flom@none.service.\n")
