#!/bin/sh
# Twisted 26.10.0: an HTTP request that is cancelled fails with an error about names or answers, not with CancelledError.
#
# A good engineer guesses that agent.request(...).addTimeout(1, reactor) fails with TimeoutError, as the documentation of
# addTimeout says, and that a request that was cancelled fails with CancelledError. But the first happens only if the
# Deferred fails with CancelledError, and a request does not: before it is connected, it says that the name of the host
# cannot be found, though the host is an address; and after that, that no answer was received. A program that repeats
# requests after such errors repeats those that it has cancelled itself, and cannot be stopped.
#
# Seen (Linux 6.18, Python 3.11):
#   cancelled at once: DNSLookupError: DNS lookup failed: Couldn't find the hostname '127.0.0.1'.
#   timed out: ResponseNeverReceived, not TimeoutError
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0'
cat >"$folder/program.py" <<'PROGRAM'
from twisted.internet import reactor
from twisted.internet.defer import TimeoutError
from twisted.internet.protocol import Factory, Protocol
from twisted.web.client import Agent

port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")  # it answers nothing
url = b"http://127.0.0.1:%d/" % port.getHost().port
agent = Agent(reactor)


def show_first(failure):
    print(f"cancelled at once: {failure.type.__name__}: {failure.value}")
    request = agent.request(b"GET", url)
    request.addTimeout(0.5, reactor).addErrback(show_second)


def show_second(failure):
    is_timeout = failure.check(TimeoutError) is not None
    print(f"timed out: {failure.type.__name__},", "a TimeoutError" if is_timeout else "not TimeoutError")
    reactor.stop()


first = agent.request(b"GET", url)
first.addErrback(show_first)
reactor.callLater(0, first.cancel)
reactor.callLater(30, reactor.stop)
reactor.run()
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
cancelled at once: DNSLookupError: DNS lookup failed: Couldn't find the hostname '127.0.0.1'.
timed out: ResponseNeverReceived, not TimeoutError
EXPECTED
