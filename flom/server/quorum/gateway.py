"""
Calls of etcd over its JSON gateway: one member at a time, the next one when there is doubt, and a time limit on each.

Each call is one POST, which is never repeated here: whether that does harm, only the caller knows. After L{Doubtful}
the next call goes to the next member.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool
from twisted.web.http_headers import Headers

from flom.core.quorum.epoch import History
from flom.errors import HistoryWentBack
from flom.server.quorum.address import QuorumAddress
from flom.server.quorum.connections import BodyReader, agent_for
from flom.server.quorum.tls import QuorumTls
from flom.server.quorum.wire import (
    Answer,
    Denied,
    Doubtful,
    Json,
    NoLease,
    end_of,
    error_of,
    key64,
    number,
    range_answer,
    revision_of,
    txn_answer,
)
from flom.text import one_line, truncate

LIMIT: Final = 2.0
"""
Seconds for one call. etcd needs milliseconds, or hangs for 7 s after its leader has died though another one is there
after 1 to 2.5 s, by which a new call is answered at once.
"""

CLOSE_LIMIT: Final = 0.5
"""Seconds for the end of TLS with all members."""

MAX_ANSWER: Final = 2**24
"""Bytes of the longest answer that is read."""

MAX_TEXT: Final = 500
"""Bytes of an answer that is no JSON, to be shown."""

PAGE: Final = 500
"""Keys that are read by one call at most."""

HEADERS: Final = {"Content-Type": ["application/json"], "Grpc-Metadata-hasleader": ["true"]}
"""
Of each call. With the second, a member that knows that it has no leader answers so at once, and ends open watches.
"""


class Lease(NamedTuple):
    """
    A lease that etcd has granted.

    @ivar ttl: seconds, as etcd has answered.
    @ivar sent_at: when it was asked for, by the clock of the gateway.
    """

    id: int
    ttl: int
    sent_at: float


class Credentials(NamedTuple):
    """A user of etcd."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """
    What a member says of itself, with or without a majority.

    @ivar version: such as C{3.5.1}.
    @ivar has_leader: whether it knows the leader of etcd.
    @ivar errors: what it complains about.
    """

    version: str
    has_leader: bool
    errors: tuple[str, ...]


class Gateway:
    """
    Members of etcd.

    @ivar address: where they are.
    @ivar history: of all that is read and written by this.
    @ivar limit: seconds for each call.
    @ivar tls: this end of TLS; C{None} for plain text.
    @ivar problems: of each endpoint by its URL: the line that says why its last call has failed; C{""} if it has not.
    """

    def __init__(
        self,
        reactor: Any,
        address: QuorumAddress,
        *,
        now: Callable[[], float],
        tls: QuorumTls | None = None,
        credentials: Credentials | None = None,
        history: History | None = None,
        limit: float = LIMIT,
    ) -> None:
        """
        @param now: the clock by which leases are counted, in seconds: one that goes on while the machine sleeps.
        @param tls: for addresses of https.
        @param limit: seconds for each call.
        """
        self.address = address
        self.history = history or History()
        self.problems = dict.fromkeys(address.endpoints, "")
        self.limit = limit
        self._clock: IReactorTime = reactor
        self._now = now
        self.tls = tls
        self._credentials = credentials
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._pool.retryAutomatically = False
        self._client = HTTPClient(agent_for(reactor, tls, self._pool))
        self._current = 0
        self._tokens: dict[str, str] = {}
        self._cluster = 0

    @property
    def endpoint(self) -> str:
        """The endpoint that is asked next."""
        return self.address.endpoints[self._current]

    def go_on(self, endpoint: str) -> None:
        """Ask the next endpoint from now on, unless another one than C{endpoint} is asked already."""
        if endpoint == self.endpoint:
            self._current = (self._current + 1) % len(self.address.endpoints)

    def close(self) -> Deferred[None]:
        """Close the connections that are kept; those of TLS whose other end does not answer are left to the system."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        closed.addTimeout(CLOSE_LIMIT, self._clock)
        return closed.addErrback(lambda _: None)

    async def grant_lease(self, ttl: int) -> Lease:
        """Ask for a lease of C{ttl} seconds, 2 or more; etcd may make it longer."""
        sent_at = self._now()
        answer = await self._ask("lease/grant", {"TTL": str(ttl)})
        return Lease(number(answer, "ID"), number(answer, "TTL"), sent_at)

    async def keep_alive(self, lease: int, limit: float | None = None) -> int:
        """Return the seconds for which C{lease} was prolonged; 0 if there is no such lease any more."""
        answer = await self._ask("lease/keepalive", {"ID": str(lease)}, limit=limit, is_linearizable=False)
        return number(answer.get("result", {}), "TTL")

    async def time_left(self, lease: int) -> int:
        """Return the whole seconds after which C{lease} ends if it is not kept; 0 or less if there is none."""
        return number(await self._ask("lease/timetolive", {"ID": str(lease)}), "TTL")

    async def revoke(self, lease: int) -> bool:
        """End C{lease}, and with it the keys under it; return false if there is no such lease any more."""
        try:
            await self._ask("lease/revoke", {"ID": str(lease)})
        except NoLease:
            return False
        return True

    async def read(self, key: str) -> Answer:
        """Read one key, linearizable."""
        return range_answer(await self._ask("kv/range", {"key": key64(key)}))

    async def read_all(self, prefix: str) -> Answer:
        """Read all keys that begin with C{prefix}, as they are in one revision."""
        found: list[Any] = []
        start, end, revision = key64(prefix), end_of(prefix), 0
        while True:
            query = {"key": start, "range_end": end, "limit": str(PAGE), "revision": str(revision)}
            raw = await self._ask("kv/range", query)
            answer = range_answer(raw)
            found += answer.found[0]
            revision = revision or answer.revision
            if not raw.get("more", False):
                return Answer(revision, True, (tuple(found),))
            start = key64(found[-1].key + "\0")

    async def transact(self, compare: Sequence[Json], then: Sequence[Json], *, limit: float | None = None) -> Answer:
        """
        Do what C{then} says if all comparisons hold.

        @raise Doubtful: it may have been done, or may be done later.
        @raise NoLease: it was not done, because the lease that it names has ended.
        """
        asked = {"compare": list(compare), "success": list(then)}
        return txn_answer(await self._ask("kv/txn", asked, limit=limit))

    async def status(self, endpoint: str) -> MemberStatus:
        """Ask one member how it is, which it answers without a majority too."""
        answer = await self._ask("maintenance/status", {}, endpoint=endpoint, is_linearizable=False)
        errors = tuple(map(str, answer.get("errors", ())))
        return MemberStatus(str(answer.get("version", "")), bool(number(answer, "leader")), errors)

    async def date(self, endpoint: str) -> str:
        """
        Return what time a member says it is, as HTTP writes it; C{""} if it does not say.

        @raise Doubtful: it does not answer.
        """
        asking: Deferred[str] = Deferred.fromCoroutine(self._date(endpoint))
        asking.addTimeout(self.limit, self._clock)
        try:
            return await asking
        except TimeoutError:
            raise Doubtful(f"{endpoint}: no answer within {self.limit:g} s") from None

    async def _date(self, endpoint: str) -> str:
        try:
            response = await post(self._client, f"{endpoint}/v3/maintenance/status", {}, Headers(HEADERS))
            await BodyReader(MAX_ANSWER).read(response)
        except CancelledError:
            raise
        except Exception as e:  # see _post
            raise Doubtful(truncate(one_line(f"{endpoint}: {why_broken(e)}"))) from None
        return str((response.headers.getRawHeaders("date") or [""])[0])

    def forget_token(self, endpoint: str) -> None:
        """Forget the token of C{endpoint}: the next call asks for a new one."""
        self._tokens.pop(endpoint, None)

    async def headers(self, endpoint: str) -> Headers:
        """Return what to send to C{endpoint} with each call; its token is taken if there is none."""
        headers = Headers(HEADERS)
        if self._credentials is None:
            return headers
        if endpoint not in self._tokens:
            asked = {"name": self._credentials.user, "password": self._credentials.password}
            try:
                answer = await self._post(endpoint, "auth/authenticate", asked, headers)
            except Denied as e:
                if not e.is_without_authentication:
                    raise Denied(f"{e} (user '{self._credentials.user}')") from None
                self._tokens[endpoint] = ""  # no token is needed there
            else:
                self._tokens[endpoint] = str(answer.get("token", ""))
        if self._tokens[endpoint]:
            headers.setRawHeaders("Authorization", [self._tokens[endpoint]])
        return headers

    def forget_history(self) -> None:
        """Begin with another history of etcd; the highest epoch that was seen remains."""
        self.history.revision = 0
        self._cluster = 0

    def check(self, revision: int, floor: int, cluster: int) -> None:
        """
        Check what the header of a linearizable answer says.

        @param floor: L{History.revision} when it was asked for.
        @raise HistoryWentBack: it is of another history, or of another cluster.
        """
        if self._cluster and cluster and cluster != self._cluster:
            raise HistoryWentBack(f"etcd's cluster was {self._cluster:x}, and is {cluster:x} now")
        self.history.note(revision, floor)
        self._cluster = self._cluster or cluster

    async def _ask(
        self,
        path: str,
        asked: Json,
        *,
        limit: float | None = None,
        endpoint: str = "",
        is_linearizable: bool = True,
    ) -> Json:
        endpoint = endpoint or self.endpoint
        floor = self.history.revision
        asking: Deferred[Json] = Deferred.fromCoroutine(self._ask_with_token(endpoint, path, asked))
        asking.addTimeout(self.limit if limit is None else limit, self._clock)
        try:
            answer = await asking
            if is_linearizable:
                header = answer["header"]
                self.check(revision_of(answer), floor, number(header, "cluster_id"))
        except (Doubtful, Denied) as e:
            self.problems[endpoint] = str(e)
            self.go_on(endpoint)
            raise
        except TimeoutError:
            seconds = self.limit if limit is None else limit
            self.problems[endpoint] = why = f"{endpoint}: no answer within {seconds:g} s"
            self.go_on(endpoint)
            raise Doubtful(why) from None
        except (KeyError, TypeError, ValueError, AttributeError):
            self.problems[endpoint] = why = f"{endpoint}: its answer makes no sense"
            self.go_on(endpoint)
            raise Doubtful(why) from None
        self.problems[endpoint] = ""
        return answer

    async def _ask_with_token(self, endpoint: str, path: str, asked: Json) -> Json:
        headers = await self.headers(endpoint)
        try:
            return await self._post(endpoint, path, asked, headers)
        except Denied as e:
            if not e.is_token_bad or self._credentials is None:
                raise
        self.forget_token(endpoint)  # a member that was started again has forgotten it
        return await self._post(endpoint, path, asked, await self.headers(endpoint))

    async def _post(self, endpoint: str, path: str, asked: Json, headers: Headers) -> Json:
        """Send one request, its body ended, and return the JSON of the answer."""
        url = f"{endpoint}/v3/{path}"
        reader = BodyReader(MAX_ANSWER)
        try:
            response = await post(self._client, url, asked, headers)
            body = await reader.read(response)
        except CancelledError:
            raise
        except Exception as e:  # of Twisted's connections, of OpenSSL, and of what reads HTTP
            raise Doubtful(truncate(one_line(f"{endpoint}: {why_broken(e)}"))) from None
        answer = _parse(body)
        text = "" if answer is not None else body[:MAX_TEXT].decode("utf-8", "replace")
        error = error_of(response.code, answer, endpoint, text)
        if error is not None:
            raise error
        if not isinstance(answer, dict):
            raise Doubtful(f"{endpoint}: its answer is no JSON object")
        return answer


def post(client: HTTPClient, url: str, asked: Json, headers: Headers) -> Deferred[Any]:
    """
    Send one request, its body ended; return what fires with the answer, whose body is to be read.

    When it is cancelled, it fails with C{CancelledError}. Twisted's own would fail with an error that says that the
    name of the host cannot be found, or that there was no answer, whatever it was about at that moment.
    """

    def cancel(_: Deferred[Any]) -> None:
        answered.errback(CancelledError())
        asking.cancel()

    answered: Deferred[Any] = Deferred(cancel)
    data = json.dumps(asked).encode()
    asking: Deferred[Any] = client.post(url, data=data, headers=headers, allow_redirects=False, unbuffered=True)
    asking.addBoth(lambda result: None if answered.called else answered.callback(result))
    return answered


def _parse(body: bytes) -> object:
    """Return the JSON in the last line of C{body}: an answer of lease/keepalive has one; C{None} if it is none."""
    lines = body.strip().rsplit(b"\n", 1)
    try:
        return json.loads(lines[-1])
    except (ValueError, RecursionError):
        return None


def why_broken(error: BaseException | None) -> str:
    """Return why there is no answer, in the words of the innermost reason."""
    innermost = _innermost(error)
    return str(innermost).rstrip(".") or type(innermost).__name__


def _innermost(error: BaseException | None) -> BaseException | None:
    while reasons := getattr(error, "reasons", None):
        error = reasons[0].value if isinstance(reasons[0], Failure) else reasons[0]
    return error
