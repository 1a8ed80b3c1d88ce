"""A script that uses locks, without a reactor. Usage: script.py SOCKET"""

import sys

from flom import lock
from flom.client import LockBusy

socket = sys.argv[1]  # without socket=... it is the one that flom-run uses

with lock("backup", socket=socket):
    print("the first lock starts the daemon")

with lock("red.green.blue", timeout=5, socket=socket) as held:
    print("this one got", held.element)


@lock("fetching", socket=socket)
def fetch() -> None:
    print("fetch: alone")


fetch()

with lock("backup", socket=socket):
    try:
        lock("backup", wait=False, socket=socket).acquire()
    except LockBusy as e:
        print(e)
