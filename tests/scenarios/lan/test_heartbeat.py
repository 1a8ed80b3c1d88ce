"""A command that is not to run without its lock is gone before another one gets that, and is left alone otherwise."""

from __future__ import annotations

import signal
from pathlib import Path
from time import sleep

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan.network import GROUP, PORT, Lan, await_leader, in_group
from tests.scenarios.lan.test_broken_connections import KEEPALIVE, Scene, each_program, silent_end

pytestmark = [needs_network_namespaces, needs_nft]

TERMINATE = ["--on-lost", "terminate"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo held; while :; do sleep 0.05; done"]
"""A command that SIGKILL alone ends."""

TIMEOUT = ["--session-timeout", "2s"]
LONGER = 2.5  # seconds: after that, what is not heard would be lost

CUTS = {
    "what the host sends": "input ip saddr",
    "what the daemon sends": "output ip daddr",
}


def assert_ended(holder: Running) -> None:
    """Check that C{flom-run} has ended its command, and has said why."""
    assert holder.process.poll() == 95
    assert "the lock was lost" in holder.finish().stderr


@pytest.mark.parametrize("lost", CUTS.values(), ids=CUTS)
def test_a_command_is_gone_in_time_if_one_direction_is_lost(lost: str, lan: Lan) -> None:
    """The daemon notices at once, and may have heard the holder just before."""
    scene = Scene(lan, *TIMEOUT)
    holder = scene.ours.start_flom(*scene.place, *TERMINATE, "-r", "R", "--", *STUBBORN)
    assert holder.line() == "held"
    waiter = scene.wait([FLOM_RUN])
    hook, selector = lost.split(maxsplit=1)
    rule = f"{selector} {scene.ours.ipv4()} drop"
    silence = f"table inet t {{ chain c {{ type filter hook {hook} priority 0; {rule}; }}; }}"
    assert scene.server.run("nft", silence).returncode == 0
    scene.server.run("ss", "-K", "dst", scene.ours.ipv4(), "sport", "=", ":28015")
    assert scene.next_line(waiter, "held")
    assert_ended(holder)
    assert waiter.finish().returncode == 0


@pytest.mark.parametrize("what", ["the host", "the host, and the leader dies"])
def test_a_command_is_gone_in_time_if_its_host_is_cut_off(what: str, lan: Lan) -> None:
    """From the leader of its group, or from its successor."""
    leader_host, ours, other = lan.add_hosts(3)
    leader = leader_host.join_group(*TIMEOUT)
    await_leader([leader])
    successor = other.join_group(*TIMEOUT)
    await_leader([leader, successor])
    holder = ours.start_flom(*in_group(GROUP, "-r", "R"), *TERMINATE, "--", *STUBBORN)
    assert holder.line() == "held"
    waiter = other.wait_for("R", leader)
    lan.cut_off(ours)
    if what != "the host":
        leader.signal(signal.SIGKILL)
    while waiter.line() != "held":
        pass
    assert_ended(holder)
    assert waiter.finish().returncode == 0


def test_a_daemon_that_is_stopped_keeps_the_lock_of_who_can_reach_its_host(lan: Lan) -> None:
    scene = Scene(lan, *TIMEOUT)
    holder = scene.hold([FLOM_RUN, *TERMINATE])
    scene.daemon.signal(signal.SIGSTOP)
    sleep(LONGER)
    scene.daemon.signal(signal.SIGCONT)
    assert silent_end(holder) == 0


@pytest.mark.parametrize("where", ["on its host", "on another one"])
def test_a_command_goes_on_while_there_is_no_daemon(where: str, lan: Lan, tmp_path: Path) -> None:
    """Its host says so: nobody can have been granted the lock."""
    options = [*TIMEOUT, "--state", str(tmp_path / "state")]
    scene = Scene(lan, *options)
    holder = scene.hold([FLOM_RUN, *TERMINATE], scene.ours if where == "on another one" else scene.server)
    scene.daemon.signal(signal.SIGKILL)
    sleep(LONGER)
    scene.server.start_daemon("-a", "0.0.0.0", "--unicast-port", str(PORT), *KEEPALIVE, *options)
    assert silent_end(holder) == 0


def test_a_flom_run_that_was_stopped_asks_before_it_ends_its_command(lan: Lan) -> None:
    scene = Scene(lan, *TIMEOUT)
    holder = scene.hold([FLOM_RUN, *TERMINATE])
    holder.signal(signal.SIGSTOP)
    sleep(LONGER)
    holder.signal(signal.SIGCONT)
    sleep(0.5)
    assert silent_end(holder) == 0


def test_a_command_whose_flom_run_was_killed_keeps_the_lock(lan: Lan) -> None:
    """Nobody asks any more whether the daemon is there; the kernel confirms what that sends."""
    scene = Scene(lan, *TIMEOUT)
    holder = scene.hold([FLOM_RUN])
    waiter = scene.wait([FLOM_RUN])
    holder.signal(signal.SIGKILL)
    sleep(LONGER)
    assert waiter.process.poll() is None
    holder.say("end")
    assert scene.next_line(waiter, "held")
    assert silent_end(waiter) == 0


@each_program
def test_a_holder_notices_a_new_address_before_its_daemon_does(program: list[str], lan: Lan) -> None:
    """By default: the keepalive time of 60 s does not matter."""
    scene = Scene(lan, "--session-timeout", "4s")
    scene.place = scene.place[: -len(KEEPALIVE)]
    holder = scene.hold(program)
    address = scene.move()
    eventually(lambda: f"pid={holder.pid}," in scene.connections_from(address), "back from there")
    assert silent_end(holder) == 0


def test_a_kill_after_that_does_not_fit_is_an_error(lan: Lan) -> None:
    """Known when the daemon has told its times, and before the command starts; the lock is free then."""
    scene = Scene(lan, *TIMEOUT)
    tried = scene.ours.flom(*scene.place, *TERMINATE, "--kill-after", "1.5", "-r", "R", "--", "echo", "ran")
    assert (tried.returncode, tried.stdout) == (99, "")
    assert tried.stderr == (
        "flom-run: kill-after: 1.5 s are too long: another client may get the lock after 2 s (the daemon's "
        "session-timeout), so there is room for 1.1 s at most\n"
    )
    assert silent_end(scene.hold([FLOM_RUN, *TERMINATE])) == 0


def test_in_a_group_a_kill_after_has_to_fit_before_a_successor(lan: Lan) -> None:
    leader_host, ours = lan.add_hosts(2)
    await_leader([leader_host.join_group()])
    tried = ours.flom(*in_group(GROUP, "-r", "R"), *TERMINATE, "--kill-after", "2", "--", "echo", "ran")
    assert (tried.returncode, tried.stdout) == (99, "")
    assert tried.stderr == (
        "flom-run: kill-after: 2 s are too long: another client may get the lock after 2.35 s (if the leader of the "
        "group goes), so there is room for 1.29 s at most\n"
    )
