"""Where the quorum is: C{etcd:https://h1:2379,https://h2:2379/PREFIX}, as C{--quorum} has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flom.errors import ConfigError
from flom.text import host_port, one_line

DEFAULT_PORT: Final = 2379
DEFAULT_PREFIX: Final = "/flom"

MAX_PREFIX: Final = 200
"""Characters of the longest prefix."""

_KIND: Final = "etcd:"


@dataclass(frozen=True, slots=True)
class QuorumAddress:
    """
    The members of etcd that are asked, and the keys that are ours.

    @ivar endpoints: URLs without a path, such as C{https://h1:2379}; one or more, all different, of one scheme.
    @ivar prefix: of all keys of one set of daemons, such as C{/flom}; it begins with a slash and does not end with one.
    """

    endpoints: tuple[str, ...]
    prefix: str = DEFAULT_PREFIX

    @property
    def is_secured(self) -> bool:
        """True if TLS is used."""
        return self.endpoints[0].startswith("https:")

    def key(self, name: str) -> str:
        """Return the key called C{name}, such as C{leader}, under the prefix."""
        return f"{self.prefix}/{name}"

    def __str__(self) -> str:
        return f"{_KIND}{','.join(self.endpoints)}{self.prefix}"


def parse_quorum(text: str) -> QuorumAddress:
    """
    Read the value of C{--quorum}.

    @raise ConfigError: C{text} is no such address; the line names what is wrong.
    """

    def wrong(why: str) -> ConfigError:
        return ConfigError(one_line(f"quorum: '{text}': {why}"))

    if not text.startswith(_KIND):
        raise wrong("it does not begin with etcd:, as etcd:https://h1:2379,https://h2:2379/PREFIX does")
    *others, last = text.removeprefix(_KIND).split(",")
    endpoints = [_endpoint(url, wrong) for url in others]
    for url in others:
        if urlsplit(url).path:
            raise wrong(f"the prefix comes once, after the last address, not after {url}")
    endpoints.append(_endpoint(last, wrong))
    if len({endpoint.partition(":")[0] for endpoint in endpoints}) > 1:
        raise wrong("all addresses are of http, or all of https")
    prefix = urlsplit(last).path.rstrip("/") or DEFAULT_PREFIX
    if len(prefix) > MAX_PREFIX or not prefix.isprintable() or " " in prefix:
        raise wrong(f"a prefix has at most {MAX_PREFIX} characters, which are neither spaces nor control characters")
    return QuorumAddress(tuple(dict.fromkeys(endpoints)), prefix)


def _endpoint(url: str, wrong: Callable[[str], ConfigError]) -> str:
    """Return C{url} without its path, with a port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as e:
        raise wrong(f"'{url}' is no address: {e}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise wrong(f"'{url}' is no address such as https://h1:2379")
    if "@" in parts.netloc:
        raise wrong("the user and the password come by --quorum-user and --quorum-password-file")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise wrong(f"'{url}' has more than an address and a prefix")
    if port == 0:
        raise wrong(f"'{url}' has a port that is none")
    return f"{parts.scheme}://{host_port(host, port or DEFAULT_PORT)}"
