"""What a client says and hears of a hold, where the daemon does not answer as it should; tests/ctl/test_hold.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flom.client.blocking.acquire import Hooks
from flom.client.blocking.hold import HoldRefused, order_hold
from flom.codes import Outcome
from flom.config import Config
from flom.core.protocol.messages import Answer, HoldAnswer, HoldOrder
from flom.errors import DaemonLost
from tests.fakes.peers import FakeDaemon

HANDLE = f"hold-{'0' * 8}-{'f' * 32}"


@pytest.mark.parametrize("answer", [None, HoldAnswer(None, "it is adopted"), HoldAnswer()])
def test_an_order_that_is_not_obeyed_is_told(tmp_path: Path, answer: HoldAnswer | None) -> None:
    path = str(tmp_path / "s")
    with FakeDaemon(path) as fake, ThreadPoolExecutor(1) as pool:
        config = Config(socket_name=path, lifespan_ms=0)
        order = pool.submit(order_hold, config, Hooks(), HANDLE, ttl=5.0)
        conversation, _ = fake.accept()
        conversation.say(Answer(16, Outcome.CANNOT_WAIT, peer_id="0" * 32, extended=True))
        asked = conversation.read()
        assert isinstance(asked, HoldOrder)
        assert (asked.handle, asked.is_release, asked.ttl) == (HANDLE, False, 5.0)
        if answer is not None:
            conversation.say(answer)
        conversation.close()
        why = "not answered: it does not lead" if answer is None else answer.why or "nothing was done"
        with pytest.raises(DaemonLost if answer is None else HoldRefused, match=why):
            order.result(10)


def test_a_daemon_of_flom_s_gets_no_order(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with FakeDaemon(path) as fake, ThreadPoolExecutor(1) as pool:
        order = pool.submit(order_hold, Config(socket_name=path, lifespan_ms=0), Hooks(), HANDLE)
        conversation, _ = fake.accept()
        conversation.answer(Outcome.CANNOT_WAIT)
        with pytest.raises(HoldRefused, match="is a daemon of FLoM's, which knows nothing of holds"):
            order.result(10)
        assert conversation.read() is None
