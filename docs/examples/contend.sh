#!/bin/sh
# Three commands want the same lock at the same moment; a daemon, which the first of them starts, serves them in turn.
# With a command as arguments: run that under a lock instead.
#
# usage: contend.sh [COMMAND [ARG...]]      (flom-run must be in PATH)
set -eu

dir=$(mktemp -d "${TMPDIR:-/tmp}/flom.XXXXXX")
socket=$dir/sock

# -i 1, -d 1: resource and daemon are forgotten about a second after their last use
locked() { flom-run --socket-name "$socket" --resource-name demo -i 1 -d 1 "$@"; }

one() {
    echo "        $1: wants the lock"
    locked -- sh -c 'echo "        $0: has the lock"; sleep 0.5; echo "        $0: releases it"' "$1"
}

clean_up() {
    trap '' INT TERM HUP
    wait                                # for commands that still run, after a Ctrl-C
    tries=100                           # for the daemon, which ends by itself
    while [ -S "$socket" ] && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if [ $# -gt 0 ]; then
    locked -- "$@"
else
    echo "Three commands, one lock, and no daemon yet:"
    one alice & one bob & one carol &
    wait
    echo "The daemon that the first of them started ends now, because no command needs it."
fi
