"""
The command under a lock in tests of exclusion: it marks in a file when it has begun and when it ends, and what it
holds between.

Arguments: the file; name, mode and quantity of the lock; how many seconds to take, or C{-} to go on until a line
comes on stdin or its end. The element of the lock is in C{FLOM_ELEMENT}; flom-run appends it to the arguments, too. Its
fencing token is in C{FLOM_TOKEN}. On
stdout it says C{held} once it has begun.
"""

import os
import sys
import time


def mark(path: str, word: str, pid: int, *fields: str) -> None:
    """Append a line to the file C{path}, as one piece, however many processes do so: what, who, when, and more."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, os.fsencode("\t".join([word, str(pid), str(time.monotonic_ns()), *fields]) + "\n"))
    os.close(file)


def main() -> None:
    path, name, mode, quantity, seconds = sys.argv[1:6]
    element, token = (os.environ.get(name, "") for name in ("FLOM_ELEMENT", "FLOM_TOKEN"))
    mark(path, "begin", os.getpid(), name, mode, quantity, element, token)
    os.write(1, b"held\n")
    if seconds == "-":
        while os.read(0, 1) not in (b"", b"\n"):
            pass
    else:
        time.sleep(float(seconds))
    mark(path, "end", os.getpid())


if __name__ == "__main__":
    main()
