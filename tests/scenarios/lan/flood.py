"""
Sends datagrams to a daemon as fast as it can until it is killed: questions, empty ones and garbage.

Arguments: an IPv6 address and its port, and messages of which each third datagram is one in turn. It says C{sent} on
stdout for every 10,000 datagrams.
"""

import socket
import sys
from itertools import count, cycle


def main() -> None:
    address, port, *messages = sys.argv[1:]
    [found] = socket.getaddrinfo(address, int(port), type=socket.SOCK_DGRAM)
    flooding = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    flooding.setblocking(False)
    datagrams = cycle([part for message in messages for part in (message.encode(), b"", b"\xff<msg" * 100)])
    for number in count(1):
        try:
            flooding.sendto(next(datagrams), found[4])
        except OSError:
            pass  # there is no room for it
        if number % 10_000 == 0:
            print("sent", flush=True)


if __name__ == "__main__":
    main()
