#!/bin/sh
# fasteners 0.20: InterProcessLock is given up when the process that holds it closes the lock file anywhere else.
#
# A good engineer guesses that a lock is held until release(). fasteners takes a record lock of POSIX (fcntl.lockf),
# which the kernel drops when the process closes any descriptor of that file: a glance into the lock file, a backup, a
# log handler. The lock object still says that it holds. filelock 4.3.1, which uses flock(2), keeps it.
#
# Seen (Linux, Python 3.11):
#   fasteners: another process gets it before the glance: False
#   fasteners: another process gets it after the glance: True, and ours says acquired: True
#   filelock: another process gets it after the glance: False
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'fasteners==0.20' 'filelock==4.3.1'
cat >"$folder/program.py" <<'PROGRAM'
import subprocess
import sys

import fasteners
import filelock

FASTENERS = "import fasteners, sys; print(fasteners.InterProcessLock(sys.argv[1]).acquire(blocking=False))"
FILELOCK = """
import filelock, sys
try:
    filelock.FileLock(sys.argv[1]).acquire(timeout=0)
except filelock.Timeout:
    print(False)
else:
    print(True)
"""


def another_gets_it(program, path):
    done = subprocess.run([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


path = sys.argv[1] + "/fasteners.lock"
lock = fasteners.InterProcessLock(path)
lock.acquire()
print("fasteners: another process gets it before the glance:", another_gets_it(FASTENERS, path))
with open(path) as glance:
    glance.read()
after = another_gets_it(FASTENERS, path)
print(f"fasteners: another process gets it after the glance: {after}, and ours says acquired: {lock.acquired}")

path = sys.argv[1] + "/filelock.lock"
with filelock.FileLock(path):
    with open(path) as glance:
        glance.read()
    print("filelock: another process gets it after the glance:", another_gets_it(FILELOCK, path))
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" "$folder" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
fasteners: another process gets it before the glance: False
fasteners: another process gets it after the glance: True, and ours says acquired: True
filelock: another process gets it after the glance: False
EXPECTED
