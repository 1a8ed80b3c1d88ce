#!/bin/sh
# Twisted 26.10.0: reactor.spawnProcess sets every ignored signal back to its default in the child.
#
# A good engineer guesses that a child inherits ignored signals, as execve(2) promises and as subprocess with
# restore_signals=False does. So a program under nohup or `trap '' HUP` that starts commands by spawnProcess starts
# commands that a hangup ends. There is no argument to spawnProcess that keeps a signal ignored; only a program in
# between, which ignores it again and then becomes the command, does.
#
# Seen (Linux, Python 3.11), bit 0 of SigIgn being SIGHUP:
#   subprocess keeps SIGHUP ignored: True
#   spawnProcess keeps SIGHUP ignored: False
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0'
cat >"$folder/program.py" <<'PROGRAM'
import signal
import subprocess

from twisted.internet import reactor
from twisted.internet.protocol import ProcessProtocol

SHOW = ["/bin/sh", "-c", "grep SigIgn /proc/self/status"]


def keeps_hangup_ignored(line):
    return bool(int(line.split()[1], 16) & 1 << (signal.SIGHUP - 1))


class Child(ProcessProtocol):
    def outReceived(self, data):
        print("spawnProcess keeps SIGHUP ignored:", keeps_hangup_ignored(data))

    def processEnded(self, reason):
        reactor.stop()


signal.signal(signal.SIGHUP, signal.SIG_IGN)
done = subprocess.run(SHOW, stdout=subprocess.PIPE, restore_signals=False)
print("subprocess keeps SIGHUP ignored:", keeps_hangup_ignored(done.stdout))
reactor.callWhenRunning(lambda: reactor.spawnProcess(Child(), SHOW[0], SHOW, env=None))
reactor.run()
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
subprocess keeps SIGHUP ignored: True
spawnProcess keeps SIGHUP ignored: False
EXPECTED
