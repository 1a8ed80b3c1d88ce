#!/bin/sh
# Three commands want the same lock at the same moment; a daemon that nobody has started serves them in turn.
# With a command as arguments: run that under a lock instead.
#
# usage: contend.sh [COMMAND [ARG...]]      (flom-run must be in PATH; FLOM_DEMO_DIR: where the socket goes)
set -eu

dir=$(mktemp -d "${FLOM_DEMO_DIR:-${TMPDIR:-/tmp}}/flom.XXXXXX")
trap 'rm -rf "$dir"' EXIT
socket=$dir/sock

# -i 1, -d 1: resource and daemon are forgotten about a second after their last use
locked() { flom-run --socket-name "$socket" --resource-name demo -i 1 -d 1 "$@"; }

one() {
    echo "        $1: wants the lock"
    locked -- sh -c 'echo "        $0: has the lock"; sleep 0.5; echo "        $0: gives it back"' "$1"
}

status=0
if [ $# -gt 0 ]; then
    locked -- "$@" || status=$?
else
    echo "Three commands, one lock, and no daemon yet:"
    one alice & one bob & one carol &
    wait
    echo "The daemon that the first of them started ends now, because nobody needs it."
fi
while [ -S "$socket" ]; do sleep 0.1; done
exit $status
