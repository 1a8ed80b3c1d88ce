"""Completion in real shells: options, values, commands, and the resources of a daemon that runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.config.groups import VALUES
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs
from tests.manual.shells import Fish, Shell, start

SHELLS = ("bash", "zsh", "fish")

NAMES = ("backup", "licences[5]", "/db/users")


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell | Fish]:
    if shutil.which(request.param) is None:
        pytest.skip(f"needs {request.param} (Debian package {request.param})")
    with start(request.param, str(tmp_path_factory.mktemp("home"))) as shell:
        yield shell


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a daemon at which three resources are held."""
    path = str(tmp_path_factory.mktemp("daemon") / "s")
    with Daemon("--socket-name", path), Programs() as programs:
        holders = [programs.start("-s", path, "-r", name, "--", "sh", "-c", "echo held; read line") for name in NAMES]
        assert [holder.line() for holder in holders] == ["held"] * 3
        yield path
        for holder in holders:
            holder.say("end")
            holder.wait()


@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("flom-run --resource-", ["--resource-name", "--resource-quantity"], "--socket-name"),
        ("flom-run -l P", ["PR", "PW"], "EX"),
        ("flom-run -r x --type s", ["simple", "set", "sequence"], "numeric"),
        ("flom-run --shell 'a b' -l ", VALUES["MODE"], "numeric"),
        ("flom-run -r x -l EX -- unam", ["uname"], "unam-"),
        ("flom-run --on-lost t", ["terminate"], "kill"),
        ("flom --lock-mode C", ["CR", "CW"], "EX"),
        ("flomctl ", ["status", "top", "wait-for", "certs", "fence"], "init"),
        ("flomctl certs i", ["init", "issue"], "status"),
        ("flomctl top --sort w", ["waiters", "waiting"], "held"),
        ("flomctl drain --t", ["--timeout"], "--sort"),
    ],
)
def test_what_is_known_is_offered(shell: Shell | Fish, line: str, offered: list[str], not_offered: str) -> None:
    shown = shell.complete(line, offered)
    assert not_offered not in shown.replace(line, "").split()


@pytest.mark.parametrize(
    "line", ["flom-run -s {socket} -o 0 -r ", "flom -s {socket} --resource-name ", "flomctl wait-for -s {socket} "]
)
def test_the_resources_of_a_daemon_are_offered(shell: Shell | Fish, socket: str, line: str) -> None:
    is_quoted = isinstance(shell, Shell)
    names = [name.replace("[", "\\[").replace("]", "\\]") if is_quoted else name for name in NAMES]
    shell.complete(line.format(socket=socket), names)


def test_without_a_daemon_nothing_is_offered_and_nothing_said(shell: Shell | Fish, tmp_path: Path) -> None:
    shown = shell.complete(f"flom-run -s {tmp_path}/none -r ", ["end"], then="end")
    assert shown.split()[-1] == "end"
    assert "no daemon" not in shown
