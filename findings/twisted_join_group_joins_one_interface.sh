#!/bin/sh
# Twisted 26.10.0: joinGroup of an IPv6 group joins it on one interface, which the kernel chooses.
#
# A good engineer guesses that a socket that is bound to :: and joins ff02::4242 hears the group on every interface.
# Its second argument, the interface, is optional, and without it the kernel takes the first that has a route; what
# is sent to the group on the other links never arrives. There is no error. A daemon for a whole host has to list the
# interfaces and join on each, by index, with setsockopt.
#
# Needs root: it makes a network namespace, which goes with the process, and two pairs of interfaces in it.
# Seen (Linux 6.18, Python 3.11):
#   member on: left
#   not a member on: right
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0'
cat >"$folder/program.py" <<'PROGRAM'
from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol


class Member(DatagramProtocol):
    def startProtocol(self):
        self.transport.joinGroup("ff02::4242").addCallbacks(self.show, print)

    def show(self, _):
        with open("/proc/net/igmp6") as table:
            joined = [line.split()[1] for line in table if line.split()[2] == "ff02" + "0" * 24 + "4242"]
        for interface in ("left", "right"):
            print("member on:" if interface in joined else "not a member on:", interface)
        reactor.callLater(0, reactor.stop)


reactor.listenMulticast(5008, Member(), interface="::")
reactor.run()
PROGRAM
cat >"$folder/host.sh" <<'HOST'
ip link set lo up
for interface in left right; do
    ip link add "$interface" type veth peer name "far-$interface"
    ip link set "far-$interface" up
    ip link set "$interface" up
done
ip addr add fe80::1/64 dev left nodad
ip addr add fe80::2/64 dev right nodad
exec timeout 60 "$1" "$2"
HOST
unshare -n sh "$folder/host.sh" "$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
member on: left
not a member on: right
EXPECTED
