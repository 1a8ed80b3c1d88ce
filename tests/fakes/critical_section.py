"""
The command under a lock in tests of exclusion: it marks in a file when it has begun and when it ends, and what it
holds between, by the lines of a history (docs/reference/history.md).

Arguments: the file; name, mode and quantity of the lock; how many seconds to take, or C{-} to go on until a line
comes on stdin or its end. The element of the lock is in C{FLOM_ELEMENT}; flom-run appends it to the arguments, too. Its
fencing token is in C{FLOM_TOKEN}. On
stdout it says C{held} once it has begun.
"""

import json
import os
import sys
import time


def mark(path: str, event: str, id: str, **fields: object) -> None:
    """Append a line to the file C{path}, as one piece, however many processes do so."""
    line = {
        "format": 1,
        "event": event,
        "id": id,
        "clock": os.readlink("/proc/self/ns/time"),  # all hosts of a test have one kernel
        "boottime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        "wall_ns": time.time_ns(),
    }
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, (json.dumps(line | fields) + "\n").encode())
    os.close(file)


def main() -> None:
    path, name, mode, quantity, seconds = sys.argv[1:6]
    lock = {"name": name, "mode": mode, "quantity": int(quantity), "pid": os.getpid(), "host": os.uname().nodename}
    for key in ("element", "token"):
        if value := os.environ.get(f"FLOM_{key.upper()}"):
            lock[key] = value
    id = f"{os.getpid()} {time.monotonic_ns()}"
    mark(path, "begin", id, **lock)
    os.write(1, b"held\n")
    if seconds == "-":
        while os.read(0, 1) not in (b"", b"\n"):
            pass
    else:
        time.sleep(float(seconds))
    mark(path, "end", id, rollback=False)


if __name__ == "__main__":
    main()
