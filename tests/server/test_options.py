"""How a daemon serves its clients unless it is told otherwise."""

from __future__ import annotations

from flom.net.keepalive import DEFAULT_KEEPALIVE
from flom.server.limits import DEFAULT_LIMITS
from flom.server.options import DEFAULT_OPTIONS


def test_by_default_no_client_may_do_more_than_lock() -> None:
    assert DEFAULT_OPTIONS.tls is None
    assert DEFAULT_OPTIONS.on_shutdown is None
    assert not DEFAULT_OPTIONS.allow_remote_shutdown
    assert not DEFAULT_OPTIONS.status_for_all


def test_the_defaults_are_those_of_the_settings() -> None:
    assert DEFAULT_OPTIONS.keepalive == DEFAULT_KEEPALIVE
    assert DEFAULT_OPTIONS.limits == DEFAULT_LIMITS
