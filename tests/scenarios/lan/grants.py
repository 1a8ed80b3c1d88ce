"""
Takes a lock that no other program wants, again and again, until a line comes on stdin or its end, and then once more.

Arguments: C{group} or C{address}, which that is, and the name of the lock. It says C{granted} when it has had it for
the first time; in the end, the longest time in seconds from one grant to the next, and how many there were. Tokens have
to grow.
"""

import sys
from select import select
from time import monotonic

from flom import lock


def main() -> None:
    kind, where, name = sys.argv[1:]
    own = lock(name, start=False, **{kind: where})  # type: ignore[arg-type]
    longest = last = 0.0
    count = token = 0
    is_over = False
    while not is_over:
        is_over = bool(select([sys.stdin], [], [], 0.005)[0])
        with own as held:
            now = monotonic()
            former, token = token, held.token or 0
            assert token > former
        if count:
            longest = max(longest, now - last)
        else:
            print("granted", flush=True)
        last = now
        count += 1
    print(f"{longest:.4f} {count}")


if __name__ == "__main__":
    main()
