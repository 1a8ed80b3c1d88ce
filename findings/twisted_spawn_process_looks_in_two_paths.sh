#!/bin/sh
# Twisted 26.10.0: whether spawnProcess is given a directory decides where it looks for the program, and how it fails.
#
# A good engineer guesses that path= changes the child's directory and nothing else. But with another directory Twisted
# forks and calls os.execvpe in the child, which looks in the PATH of env; without one it calls os.posix_spawnp, which
# looks in the PATH of the parent, whatever env says. And a program that is missing is an OSError of spawnProcess in the
# one case, and in the other a child that exits with status 1, as a program may do that has run, after a traceback on
# the child's stderr.
#
# Seen (Linux, glibc, Python 3.11):
#   in env's PATH alone: FileNotFoundError
#   in env's PATH alone, path='/': status 0
#   nowhere: FileNotFoundError
#   nowhere, path='/': status 1
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0'
mkdir "$folder/bin"
printf '#!/bin/sh\nexit 0\n' >"$folder/bin/only-there"
chmod +x "$folder/bin/only-there"
cat >"$folder/program.py" <<'PROGRAM'
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol


class Child(ProcessProtocol):
    def __init__(self):
        self.status = Deferred()

    def processEnded(self, reason):
        self.status.callback(f"status {reason.value.exitCode}")


async def attempt(case, word, **options):
    child = Child()
    try:
        reactor.spawnProcess(child, word, [word], env={"PATH": sys.argv[1]}, **options)
    except OSError as e:
        print(f"{case}: {type(e).__name__}")
    else:
        print(f"{case}: {await child.status}")


async def main():
    await attempt("in env's PATH alone", "only-there")
    await attempt("in env's PATH alone, path='/'", "only-there", path="/")
    await attempt("nowhere", "no-such-program")
    await attempt("nowhere, path='/'", "no-such-program", path="/")
    reactor.stop()


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
PROGRAM
cd "$folder"
"$folder/venv/bin/python" "$folder/program.py" "$folder/bin" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
in env's PATH alone: FileNotFoundError
in env's PATH alone, path='/': status 0
nowhere: FileNotFoundError
nowhere, path='/': status 1
EXPECTED
