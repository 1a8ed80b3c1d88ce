#!/bin/sh
# Linux with fs.protected_regular (2 on most systems): a lock file of another user in /tmp cannot be opened to be locked,
# not even by root, although its permissions are 0666.
#
# A good engineer guesses that O_CREAT changes nothing for a file that exists, and that root may open it anyway. In a
# directory like /tmp, which everybody may write to and which is sticky, Linux refuses O_CREAT on another user's file.
# filelock 4.3.1 and flock(1) of util-linux open lock files with O_CREAT: a lock that one user has used once is out of
# reach for all others, with an error that speaks of permissions. Without O_CREAT, the same file opens.
#
# Needs root: it sets the switch and sets it back. Python 3.10 or later.
# Seen (Linux 6.18, util-linux 2.38.1):
#   the file is -rw-rw-rw-, its owner 65534, we are 0
#   filelock: PermissionError
#   flock(1): status 66
#   open with O_CREAT: EACCES
#   open without: done
set -eu
folder=$(mktemp -d)
before=$(cat /proc/sys/fs/protected_regular)
trap 'echo "$before" >/proc/sys/fs/protected_regular; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'filelock==4.3.1'
echo 2 >/proc/sys/fs/protected_regular
cat >"$folder/program.py" <<'PROGRAM'
import errno
import os
import stat
import subprocess
import sys

import filelock

public = sys.argv[1]
os.mkdir(public)
os.chmod(public, 0o1777)
path = public + "/lock"
os.close(os.open(path, os.O_RDWR | os.O_CREAT))
os.chmod(path, 0o666)
os.chown(path, 65534, 65534)
found = os.stat(path)
print(f"the file is {stat.filemode(found.st_mode)}, its owner {found.st_uid}, we are {os.geteuid()}")


def outcome(flags):
    try:
        os.close(os.open(path, os.O_RDWR | flags))
    except OSError as e:
        return errno.errorcode[e.errno]
    return "done"


try:
    filelock.FileLock(path).acquire(timeout=1)
except OSError as e:
    print("filelock:", type(e).__name__)
print("flock(1): status", subprocess.run(["flock", path, "true"], stderr=subprocess.DEVNULL).returncode)
print("open with O_CREAT:", outcome(os.O_CREAT))
print("open without:", outcome(0))
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" "$folder/public" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
the file is -rw-rw-rw-, its owner 65534, we are 0
filelock: PermissionError
flock(1): status 66
open with O_CREAT: EACCES
open without: done
EXPECTED
