"""A campaign that a thread begins, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep

import pytest

from flom.core.group.addresses import Group
from flom.core.group.timing import Timing
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Role, Standing
from flom.net.campaign import Campaign
from flom.net.multicast import NoMulticast, open_group_socket
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.programs import eventually

GROUP = Group("ff02::1", 28015)
TIMING = Timing(campaign=0.24)  # a round is 10 ms
RIVAL = Standing("a" * 16, Role.LEADER, 1)

pytestmark = needs_network_namespaces


@pytest.fixture
def host() -> Iterator[Host]:
    with Host("flomcampaign") as host:
        host.add_interface()
        yield host


def test_it_is_announced_again_and_again_and_heard_by_itself(host: Host) -> None:
    with host.inside():
        campaign = Campaign(GROUP, TIMING)
        eventually(lambda: len(campaign.heard) >= 5, "five announcements that have come back")
        campaign.stop()
        assert sorted(campaign.joined) == sorted(campaign.socket.expected) == ["eth0", "eth1"]
    heard = [decode(datagram) for datagram, _, _ in campaign.heard]
    assert {message.standing for message in heard if isinstance(message, Discover)} == {campaign.standing}
    assert {interface for _, _, interface in campaign.heard} == {"eth0", "eth1"}
    assert max(message.number for message in heard if isinstance(message, Discover)) == campaign.announced
    assert campaign.began <= campaign.last_at <= monotonic()
    campaign.socket.close()


def test_what_daemons_say_is_kept_and_what_clients_ask_is_not(host: Host) -> None:
    with host.inside():
        campaign = Campaign(GROUP, TIMING)
        other = open_group_socket(GROUP, is_member=False)
        said = encode(Discover(GROUP.address, standing=RIVAL))
        for datagram in (encode(Discover(GROUP.address)), b"noise", said):
            other.send_to(datagram, ("::1", GROUP.port))
        eventually(lambda: said in [datagram for datagram, _, _ in campaign.heard], "the rival")
        other.close()
        campaign.give_up()
    standings = {getattr(decode(datagram), "standing", None) for datagram, _, _ in campaign.heard}
    assert standings == {campaign.standing, RIVAL}


def test_announcements_in_a_row_are_counted_anew_if_one_cannot_be_sent(host: Host) -> None:
    with host.inside():
        campaign = Campaign(GROUP, TIMING)
        eventually(lambda: campaign.in_a_row >= 2, "some announcements")
        for name in ("eth0", "eth1"):
            host.ip("link", "set", name, "down")
        eventually(lambda: campaign.in_a_row == 0, "one that could not be sent")
        campaign.give_up()


def test_announcements_in_a_row_are_counted_anew_after_a_long_round(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with host.inside():
        campaign = Campaign(GROUP, TIMING)
        eventually(lambda: campaign.in_a_row >= 3, "some announcements")
        was_sent = campaign.announced
        announce = campaign._announce

        def be_slow() -> None:
            sleep(TIMING.stall)
            announce()

        monkeypatch.setattr(campaign, "_announce", be_slow)
        eventually(lambda: campaign.announced > was_sent + 1, "two long rounds")
        campaign.give_up()
    assert campaign.in_a_row <= 1


def test_without_a_network_there_is_none(host: Host) -> None:
    for name in ("eth0", "eth1"):
        host.ip("link", "set", name, "down")
    with host.inside(), pytest.raises(NoMulticast):
        Campaign(GROUP, TIMING)
