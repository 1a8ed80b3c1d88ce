#!/bin/sh
# treq 26.7.0 on Twisted 26.10.0: the timeout of a request is over when the headers have come; its body may hang for ever.
#
# A good engineer guesses that treq.get(url, timeout=1) and treq.content(response) together take little more than a
# second. But the time limit ends with the headers, and content has none. Nor does it help to give up: a Deferred of
# treq.content that is cancelled leaves the connection open, and so does Twisted's readBody, which says in its
# documentation that it closes it (it looks for an abortConnection that its transport does not have). A client of a
# server that hangs in the middle of answers collects connections until it has no descriptors left.
#
# Seen (Linux 6.18, Python 3.11):
#   headers within the timeout: True
#   body after 3 s: not there
#   connection after content was cancelled: open
#   connection after readBody was cancelled: open
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0' 'treq==26.7.0'
cat >"$folder/program.py" <<'PROGRAM'
import warnings

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.web.client import Agent, readBody

warnings.simplefilter("ignore")
closed = []


class HangsInTheBody(Protocol):
    def dataReceived(self, data):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")

    def connectionLost(self, reason):
        closed.append(self)


def state(count):
    return "closed" if len(closed) >= count else "open"


async def run():
    port = reactor.listenTCP(0, Factory.forProtocol(HangsInTheBody), interface="127.0.0.1")
    url = f"http://127.0.0.1:{port.getHost().port}/"
    began = reactor.seconds()
    response = await treq.get(url, timeout=1, persistent=False)
    print("headers within the timeout:", reactor.seconds() - began < 1)
    body = treq.content(response)
    await deferLater(reactor, 3)
    print("body after 3 s:", "there" if body.called else "not there")
    body.addErrback(lambda _: None)
    body.cancel()
    await deferLater(reactor, 1)
    print("connection after content was cancelled:", state(1))
    before = len(closed)
    response = await Agent(reactor).request(b"GET", url.encode())
    body = readBody(response)
    body.addErrback(lambda _: None)
    body.cancel()
    await deferLater(reactor, 1)
    print("connection after readBody was cancelled:", state(before + 1))
    reactor.stop()


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addErrback(print))
reactor.callLater(30, reactor.stop)
reactor.run()
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
headers within the timeout: True
body after 3 s: not there
connection after content was cancelled: open
connection after readBody was cancelled: open
EXPECTED
