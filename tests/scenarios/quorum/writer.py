"""
The command under a lock: it writes to the store all the time, with its fencing token, until its time is over.

Arguments: the store's socket; its own number; name, mode and quantity of the lock; how many seconds to take, or C{-} to
go on until it is ended; C{stubborn} if SIGTERM is not to end it. On stdout it says C{held} once the store has heard of
it, and C{refused} when the store first refuses a write, after which it goes on all the same.

All times are nanoseconds of the monotonic clock, taken before the store is told, so that what it tells lies within the
time in which it has run.
"""

import json
import os
import signal
import socket
import sys
import time

PAUSE = 0.03  # seconds between two writes


class Ended(BaseException):
    """SIGTERM has come."""


def end(number: int, frame: object) -> None:
    raise Ended


def main() -> None:
    path, number, name, mode, quantity, seconds, manner = sys.argv[1:8]
    store = socket.socket(socket.AF_UNIX)
    store.connect(path)

    def say(what: str, **more: object) -> None:
        told = {"what": what, "who": int(number), "at": time.monotonic_ns(), **more}
        store.sendall(json.dumps(told).encode() + b"\n")

    signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "stubborn" else end)
    status = 0
    try:
        element, token = (os.environ.get(f"FLOM_{name}", "") for name in ("ELEMENT", "TOKEN"))
        say("begin", name=name, mode=mode, quantity=int(quantity), element=element, token=int(token or 0))
        store.recv(1)
        os.write(1, b"held\n")
        until = float("inf") if seconds == "-" else time.monotonic() + float(seconds)
        is_refused = False
        while time.monotonic() < until:
            say("write")
            if store.recv(1) == b"-" and not is_refused:
                is_refused = True
                os.write(1, b"refused\n")
            time.sleep(PAUSE)
    except Ended:
        status = 143
    say("end")
    os._exit(status)


if __name__ == "__main__":
    main()
