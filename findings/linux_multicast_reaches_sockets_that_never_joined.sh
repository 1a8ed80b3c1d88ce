#!/bin/sh
# Linux 6.18: a UDP socket gets datagrams of an IPv6 multicast group that only another process has joined.
#
# A good engineer guesses that membership decides: who has not joined hears nothing. On Linux it decides for the host;
# every socket that is bound to :: and the port hears the group as soon as any process here is a member of it. Only
# with IPV6_MULTICAST_ALL (29, which Python's socket module does not name) set to 0 a socket hears its own groups
# alone. IPv4 has the same in IP_MULTICAST_ALL (49). So two daemons of different groups on one port hear each other.
#
# Needs root: it makes a network namespace, which goes with the process, and a pair of interfaces in it. Nothing is
# installed; Python 3.10 or later.
# Seen:
#   by default, a socket that has joined nothing hears: hello
#   with IPV6_MULTICAST_ALL off, it hears: nothing
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/program.py" <<'PROGRAM'
import socket
import struct

INDEX = socket.if_nametoindex("left")
GROUP = "ff02::4242"
IPV6_MULTICAST_ALL = 29


def listen():
    listening = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("::", 5007))
    listening.settimeout(2)
    return listening


def hear(listening):
    try:
        return listening.recv(100).decode()
    except TimeoutError:
        return "nothing"


member, stranger = listen(), listen()
request = struct.pack("16sI", socket.inet_pton(socket.AF_INET6, GROUP), INDEX)
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, INDEX)
sender.sendto(b"hello", (GROUP, 5007))
assert hear(member) == "hello"
print("by default, a socket that has joined nothing hears:", hear(stranger))
stranger.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
sender.sendto(b"hello", (GROUP, 5007))
assert hear(member) == "hello"
print("with IPV6_MULTICAST_ALL off, it hears:", hear(stranger))
PROGRAM
cat >"$folder/host.sh" <<'HOST'
ip link set lo up
ip link add left type veth peer name far-left
ip link set far-left up
ip link set left up
ip addr add fe80::1/64 dev left nodad
exec timeout 60 python3 "$1"
HOST
unshare -n sh "$folder/host.sh" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
by default, a socket that has joined nothing hears: hello
with IPV6_MULTICAST_ALL off, it hears: nothing
EXPECTED
