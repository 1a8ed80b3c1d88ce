"""Several locks at once in a group whose leader is killed: they stay one set, and are reclaimed as that."""

from __future__ import annotations

import json
import signal

import pytest

from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, complaints, eventually
from tests.scenarios.lan.network import GROUP, Lan, LanHost, await_leader, in_group

pytestmark = needs_network_namespaces

FLOMCTL = str(BIN / "flomctl")


def run_under(host: LanHost, *options: str) -> Running:
    """Run a command under locks until its stdin ends."""
    return host.start(FLOM_RUN, "-V", *in_group(GROUP, *options), "--", "sh", "-c", "echo held; cat")


def await_line(running: Running, what: str) -> None:
    eventually(lambda: what in running.line(), what)


def tokens_and_waits(host: LanHost, *options: str) -> tuple[dict[str, str], int]:
    """Return the tokens of all that is held, by the names of resources, and how many waits there are."""
    said = host.start(FLOMCTL, "status", "--json", "-A", GROUP, *options).finish().stdout
    found = json.loads(said)["resources"]
    tokens = {each["name"]: holder["token"] for each in found for holder in each["holders"]}
    return tokens, sum(len(each["waiters"]) for each in found)


@pytest.mark.parametrize("is_over_tls", [pytest.param(False, marks=pytest.mark.slow), True], ids=["plain", "tls"])
def test_a_set_is_reclaimed_whole_when_the_leader_is_killed(lan: Lan, tls: list[str], is_over_tls: bool) -> None:
    options = tls if is_over_tls else []
    members = [host.join_group(*options, "--status-for", "all") for host in lan.add_hosts(2)]
    one, other = lan.hosts
    leader = await_leader(members)
    [successor] = [member for member in members if member is not leader]
    holder = run_under(one, *options, "-r", "a", "-r", "b")
    await_line(holder, "held")
    crossed = run_under(other, *options, "-r", "b", "-r", "a")
    eventually(lambda: tokens_and_waits(one, *options)[1] == 2, "the wait of the crossed set")
    tokens, _ = tokens_and_waits(one, *options)
    assert set(tokens) == {"a", "b"}

    leader.signal(signal.SIGKILL)
    await_leader([successor])
    await_line(holder, "reclaimed")

    eventually(lambda: tokens_and_waits(one, *options) == (tokens, 2), "the same tokens, and the wait")
    ended = holder.finish()
    assert (ended.returncode, complaints(ended)) == (0, "")
    await_line(crossed, "held")
    assert crossed.finish().returncode == 0
