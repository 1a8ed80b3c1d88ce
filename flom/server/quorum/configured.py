"""The quorum of a daemon, as its configuration has it."""

from __future__ import annotations

import os
import secrets
from socket import gethostname
from typing import Any

from flom.config import Config
from flom.core.quorum.times import QuorumTimes, quorum_times
from flom.errors import ConfigError
from flom.lean import boottime
from flom.net.group_key import read_secret
from flom.server.quorum.address import parse_quorum
from flom.server.quorum.service import Quorum
from flom.server.state import StateDirectory
from flom.text import missing_extra


def times_of(config: Config) -> QuorumTimes:
    """Return the times that C{config} sets; L{ConfigError} if they do not fit together."""
    margin = config.quorum_margin_ms / 1000 or None
    return quorum_times(config.quorum_lease_ms / 1000, config.session_timeout_ms / 1000, margin)


def gateway_of(config: Config, reactor: Any) -> Any:
    """
    Return the L{flom.server.quorum.gateway.Gateway} that C{config} describes.

    @raise ConfigError: a file cannot be used, or a package is missing; the text names the option.
    """
    address = parse_quorum(config.quorum)
    try:
        from flom.server.quorum.gateway import Credentials, Gateway
        from flom.server.quorum.tls import QuorumTls
    except ImportError as e:
        raise ConfigError(f"quorum {missing_extra(e)}") from None
    files = {
        "quorum-cert": config.quorum_certificate,
        "quorum-key": config.quorum_private_key,
        "quorum-ca": config.quorum_ca,
    }
    tls = None
    if address.is_secured:
        tls = QuorumTls(*files.values())
    elif given := next((option for option, path in files.items() if path), ""):
        raise ConfigError(f"{given}: '{files[given]}' is for addresses of https, which '{config.quorum}' does not have")
    credentials = None
    if config.quorum_user:
        password = read_secret("quorum-password-file", config.quorum_password_file)
        credentials = Credentials(config.quorum_user, password.decode(errors="surrogateescape"))
    return Gateway(reactor, address, now=boottime, tls=tls, credentials=credentials)


def quorum_of(config: Config, reactor: Any, state: StateDirectory | None) -> Quorum:
    """
    Return the quorum that C{config} describes; see L{gateway_of}.

    @param state: where epochs are remembered; C{None} for nowhere.
    """
    times, gateway = times_of(config), gateway_of(config, reactor)
    identity = f"{gethostname()}, pid {os.getpid()}, {secrets.token_hex(4)}"

    def make_elector(events: Any) -> Any:
        from flom.server.quorum.elector import Elector

        return Elector(reactor, gateway, times, identity, events, state=state)

    return Quorum(times, identity, make_elector)
