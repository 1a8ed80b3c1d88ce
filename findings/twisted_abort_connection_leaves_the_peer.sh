#!/bin/sh
# Twisted 26.10.0: abortConnection does not end a connection that a child process has inherited; loseConnection does.
#
# A good engineer guesses that abortConnection is the harder of the two, and that the peer sees the connection end
# whatever else happens. But it sets SO_LINGER and closes our descriptor, which sends nothing as long as a child process
# has a descriptor of the same connection (childFDs of spawnProcess): the reset leaves when the last of them is closed.
# loseConnection calls shutdown(2), which ends the connection for all that have it. So to end a connection at once that
# a child may have, call transport.getHandle().shutdown(socket.SHUT_RDWR) before abortConnection.
#
# Seen (Linux, Python 3.11), the child being `sleep 3`:
#   loseConnection: the peer saw the end at once
#   abortConnection: the peer saw the end with the child's
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0'
cat >"$folder/program.py" <<'PROGRAM'
import sys
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol


class Peer(Protocol):
    def connectionLost(self, reason):
        when = "at once" if time.monotonic() < began + 1.5 else "with the child's"
        print(f"{sys.argv[1]}: the peer saw the end {when}")
        reactor.stop()


async def main():
    global began
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(Factory.forProtocol(Peer))
    endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{port.getHost().port}")
    client = await connectProtocol(endpoint, Protocol())
    inherited = {0: 0, 1: 1, 2: 2, 3: client.transport.fileno()}
    reactor.spawnProcess(ProcessProtocol(), "sleep", ["sleep", "3"], env=None, childFDs=inherited)
    began = time.monotonic()
    getattr(client.transport, sys.argv[1])()


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
PROGRAM
for how in loseConnection abortConnection; do
  "$folder/venv/bin/python" "$folder/program.py" "$how"
done | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
loseConnection: the peer saw the end at once
abortConnection: the peer saw the end with the child's
EXPECTED
