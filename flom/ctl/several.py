"""Several hosts, the daemons of which agree by a quorum on one that leads: which of them a command is about."""

from __future__ import annotations

from flom.client.blocking.status import open_status
from flom.codes import ReturnCode
from flom.core.protocol.messages import STATUS_PROBE
from flom.errors import DaemonUnreachable, FlomError
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.config import Config

_TIMEOUT: Final = 2.0  # seconds for each host


def one_of(config: Config, *, must_lead: bool) -> Config:
    """
    Return C{config} with the one of its hosts whose daemon leads.

    @param must_lead: if none leads, raise an error; otherwise the first daemon that answers is as good, because it
        says why.
    @raise DaemonUnreachable: there is none.
    """
    first: Config | None = None
    problems = []
    for host in config.unicast_addresses:
        candidate = config.replace(unicast_address=host)
        try:
            with open_status(candidate, lambda text: None, _TIMEOUT) as reader:
                daemon = reader.read(STATUS_PROBE, _TIMEOUT).daemon
        except (FlomError, OSError) as e:
            problems.append(f"{host}: {e}")
            continue
        if daemon.role == "leader":
            return candidate
        first = first or candidate
        about = daemon.quorum.problem if daemon.quorum is not None and daemon.quorum.problem else daemon.role
        problems.append(f"{host}: {about or 'no quorum'}")
    if first is None or must_lead:
        why = f"none of {config.unicast_address} leads ({'; '.join(problems)})"
        raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, one_line(why))
    return first
