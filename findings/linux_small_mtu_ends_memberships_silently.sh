#!/bin/sh
# Linux 6.18: an interface whose MTU falls below 1280 drops all IPv6 multicast memberships, and the sockets keep them.
#
# A good engineer guesses that a membership lasts as long as its socket, or that joining once more repairs it. Below
# 1280 bytes Linux switches IPv6 off on the interface; when the MTU is large again, addresses come back and memberships
# do not. The socket still has the membership in its own list, so joining again fails with EADDRINUSE, and nothing
# arrives. Leaving first and then joining helps. /proc/net/igmp6 shows what the interface is really a member of.
#
# Needs root: it makes a network namespace, which goes with the process, and a pair of interfaces in it. Nothing is
# installed; Python 3.10 or later.
# Seen:
#   joined; the kernel lists the group: yes
#   after an MTU of 1279 and 1500, the kernel lists the group: no
#   joining again: EADDRINUSE; the kernel lists the group: no
#   leaving and joining; the kernel lists the group: yes
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/program.py" <<'PROGRAM'
import errno
import socket
import struct
import subprocess

GROUP = socket.inet_pton(socket.AF_INET6, "ff05::4711")
REQUEST = struct.pack("16sI", GROUP, socket.if_nametoindex("left"))


def listed():
    with open("/proc/net/igmp6") as table:
        return "yes" if any(line.split()[1:3] == ["left", GROUP.hex()] for line in table) else "no"


def set_mtu(size):
    subprocess.run(["ip", "link", "set", "left", "mtu", str(size)], check=True)


member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, REQUEST)
print("joined; the kernel lists the group:", listed())
set_mtu(1279)
set_mtu(1500)
print("after an MTU of 1279 and 1500, the kernel lists the group:", listed())
try:
    member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, REQUEST)
    outcome = "done"
except OSError as e:
    outcome = errno.errorcode[e.errno]
print(f"joining again: {outcome}; the kernel lists the group:", listed())
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, REQUEST)
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, REQUEST)
print("leaving and joining; the kernel lists the group:", listed())
PROGRAM
cat >"$folder/host.sh" <<'HOST'
ip link add left type veth peer name far-left
ip link set far-left up
ip link set left up
exec timeout 60 python3 "$1"
HOST
unshare -n sh "$folder/host.sh" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
joined; the kernel lists the group: yes
after an MTU of 1279 and 1500, the kernel lists the group: no
joining again: EADDRINUSE; the kernel lists the group: no
leaving and joining; the kernel lists the group: yes
EXPECTED
