#!/bin/sh
# Twisted 26.10.0: HostnameEndpoint drops the zone of a link-local IPv6 address.
#
# A good engineer guesses that the general endpoint for TCP takes every host that connectTCP takes. It looks the host
# up, keeps the address of the answer without its scope id, and connects to that: to fe80::1 instead of fe80::1%lo,
# which the kernel refuses with EINVAL, because it cannot know by which interface. TCP6ClientEndpoint keeps the zone.
#
# Seen (Linux, Python 3.11):
#   TCP6ClientEndpoint connects to fe80::1%lo
#   HostnameEndpoint connects to fe80::1: Invalid argument
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0'
cat >"$folder/program.py" <<'PROGRAM'
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP6ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

asked = []
connect = reactor.connectTCP


def note(host, *more, **options):
    asked.append(host)
    return connect(host, *more, **options)


async def try_both():
    for kind in (TCP6ClientEndpoint, HostnameEndpoint):
        try:
            await kind(reactor, "fe80::1%lo", 9).connect(Factory.forProtocol(Protocol))
        except Exception as problem:
            # whether there is a route to it, and a listener, differs by host; what is asked for does not
            invalid = ": Invalid argument" if "Invalid argument" in str(problem) else ""
            print(f"{kind.__name__} connects to {asked[-1]}{invalid}")
    reactor.stop()


reactor.connectTCP = note
reactor.callWhenRunning(lambda: Deferred.fromCoroutine(try_both()))
reactor.run()
PROGRAM
timeout 60 "$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
TCP6ClientEndpoint connects to fe80::1%lo
HostnameEndpoint connects to fe80::1: Invalid argument
EXPECTED
