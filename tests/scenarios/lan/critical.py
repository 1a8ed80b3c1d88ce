"""
A program that must not run twice at a time: it tells a file when it has begun and when it ends.

Arguments: the file, and how many seconds to take.
"""

import os
import sys
import time


def main() -> None:
    marks = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(marks, b"begin %d %d\n" % (os.getpid(), time.monotonic_ns()))
    time.sleep(float(sys.argv[2]))
    os.write(marks, b"end %d %d\n" % (os.getpid(), time.monotonic_ns()))


if __name__ == "__main__":
    main()
