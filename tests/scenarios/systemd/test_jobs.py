"""Jobs as services of systemd, as docs/howto/timers.md has them, on a machine on which systemd runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.machine import Machine, why_not
from tests.fakes.programs import eventually

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "timers.md").read_text()
HOLD = "flom-run -s /run/lock/flom.sock -r warehouse -- sh -c 'echo held; read x'"

BACKUP = """\
#!/bin/sh
left=$ROUNDS
trap 'echo told; left=5' TERM
echo at work
>/tmp/at-work
while [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that has the units of the page."""
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        machine.check("ln -s /opt/flom/bin/flom-run /usr/local/bin && mkdir -p -m 1777 /run/lock")
        for unit in re.findall(r"^```ini\n(# /etc/.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
            write(machine, unit.splitlines()[0].removeprefix("# "), unit)
        write(machine, "/usr/local/bin/backup", BACKUP)
        machine.check("chmod 755 /usr/local/bin/backup; systemctl daemon-reload; systemctl start backup.timer")
        yield machine


def write(machine: Machine, path: str, text: str) -> None:
    machine.check(f"mkdir -p $(dirname {path}) && cat > {path} <<'END'\n{text}\nEND")


def change(machine: Machine, *lines: str, rounds: int = 0) -> None:
    """Add C{lines} to the service, whose command takes so many tenths of a second."""
    ours = f"Environment=LD_LIBRARY_PATH=/opt/python/lib ROUNDS={rounds}"
    text = "\n".join(["[Unit]", "StartLimitIntervalSec=0", "[Service]", ours, *lines])
    write(machine, "/run/systemd/system/backup.service.d/test.conf", text)
    machine.check("systemctl daemon-reload; rm -f /tmp/at-work")


@contextmanager
def held(machine: Machine) -> Iterator[None]:
    """Hold inside what the service wants."""
    holder = machine.start(HOLD)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate("\n", timeout=20)


def shown(machine: Machine, name: str) -> str:
    return machine.check(f"systemctl show --value -p {name} backup.service").strip()


def journal(machine: Machine) -> list[str]:
    """Return what the last run of the service has written, as far as the journal has read it."""
    machine.check("journalctl --sync")
    invocation = shown(machine, "InvocationID")
    command = f"journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID={invocation} _COMM=flom-run + "
    command += f"_SYSTEMD_INVOCATION_ID={invocation} _TRANSPORT=stdout"
    return machine.check(command).splitlines()


def test_a_job_waits_for_the_lock_and_runs(machine: Machine) -> None:
    change(machine)
    with held(machine):
        machine.check("systemctl start --no-block backup.service")
        machine.check("until flomctl status -s /run/lock/flom.sock | grep -q waits; do sleep 0.1; done")
        assert shown(machine, "ActiveState") == "activating"
    machine.check("systemctl start backup.service")  # which joins the start that goes on
    assert (shown(machine, "Result"), shown(machine, "ExecMainStatus")) == ("success", "0")
    eventually(lambda: "at work" in journal(machine), "what it writes")


@pytest.mark.parametrize(
    ("options", "setting", "result", "written"),
    [
        ("-o 0", "", ("exit-code", "98"), ["flom-run: warehouse: locked"]),
        ("-o 0", "SuccessExitStatus=98", ("success", "98"), ["flom-run: warehouse: locked"]),
        ("-o 0 -E 0", "", ("success", "0"), []),
    ],
    ids=["failure", "success", "silence"],
)
def test_a_run_can_be_left_out(
    machine: Machine, options: str, setting: str, result: tuple[str, str], written: list[str]
) -> None:
    command = f"/usr/local/bin/flom-run -s /run/lock/flom.sock -r warehouse {options} -- /usr/local/bin/backup"
    change(machine, "ExecStart=", f"ExecStart={command}", setting)
    with held(machine):
        machine.run("systemctl start backup.service")
    assert (shown(machine, "Result"), shown(machine, "ExecMainStatus")) == result
    eventually(
        lambda: [line for line in journal(machine) if line.startswith(("flom-run", "at work"))] == written,
        "what it writes",
    )


def test_a_job_that_is_stopped_is_told_once(machine: Machine) -> None:
    change(machine, rounds=600)
    machine.check("systemctl start --no-block backup.service")
    machine.check("until [ -e /tmp/at-work ]; do sleep 0.1; done")
    machine.check("systemctl stop backup.service")
    assert shown(machine, "Result") == "success"
    eventually(lambda: journal(machine).count("told") == 1, "what it writes")


def test_a_build_that_is_killed_with_its_daemon_ends_no_other_lock(machine: Machine) -> None:
    """As a CI runner kills it (docs/howto/ci.md): all processes of its control group, the daemon among them."""
    flom_run = "flom-run -s /run/lock/ci.sock"
    environment = "--setenv=LD_LIBRARY_PATH=/opt/python/lib --uid=joe"
    machine.check(f"systemd-run --quiet --unit=build {environment} /usr/local/bin/{flom_run} -r build -- sleep 100")
    machine.check("until flomctl status -s /run/lock/ci.sock | grep -q holds; do sleep 0.1; done")
    assert "flom/daemon/" in machine.check("systemctl status --no-pager --full build")
    other = machine.start(f"{flom_run} -r other -- sh -c 'echo held; read x; echo done'")
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    waiter = machine.start(f"{flom_run} -r build -- echo granted")
    machine.check("until flomctl status -s /run/lock/ci.sock | grep -q waits; do sleep 0.1; done")
    machine.check("systemctl kill --signal=KILL build")
    assert waiter.communicate(timeout=20)[0] == "granted\n"
    assert (other.communicate("\n", timeout=20)[0], other.returncode) == ("done\n", 0)
