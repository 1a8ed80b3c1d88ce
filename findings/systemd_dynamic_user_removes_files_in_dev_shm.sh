#!/bin/sh
# systemd with DynamicUser=yes: when the service stops, ordinary files that it has made in /dev/shm are removed.
#
# A good engineer guesses that DynamicUser= is a User= whose number is free again afterwards, and that a file in /dev/shm,
# to which the service's own sandbox gives no other place, stays until the machine is started again. So lock files and
# marks for the next process are kept there, because no cleaner of /tmp looks there. But DynamicUser= implies RemoveIPC=,
# and for systemd every file in /dev/shm is a POSIX shared memory object of its owner. A restart is a stop, too.
#
# Needs root, control groups of version 2 and the Debian package systemd, which is run as the first process of namespaces
# of its own; nothing of this machine is changed.
# Seen (systemd 252):
#   static: the service runs: lock
#   static: it was stopped: lock
#   dynamic: the service runs: lock
#   dynamic: it was stopped: nothing
set -eu
folder=$(mktemp -d)
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
trap 'kill -KILL "$machine" 2>/dev/null || true; wait; sleep 0.2; rmdir "$cgroups/finding-$$" 2>/dev/null || true; rm -rf "$folder"' EXIT
machine=
mkdir "$folder/root" "$cgroups/finding-$$"

cat >"$folder/boot" <<'BOOT'
set -eu
mount --make-rprivate /
mount --bind / "$1"
mount -o remount,bind,ro "$1"
cd "$1"
for each in etc run tmp var; do mount -t tmpfs -o mode=755 tmpfs "$each"; done
mkdir -p etc/systemd/system var/lib var/tmp var/log
cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
printf '[Unit]\nDefaultDependencies=no\n' >etc/systemd/system/started.target
unit() { printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\n%s\nExecStart=touch /dev/shm/lock\n' "$2" >"etc/systemd/system/$1.service"; }
unit static User=nobody
unit dynamic DynamicUser=yes
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs dev/shm
container=finding exec chroot . /lib/systemd/systemd --system --unit=started.target --log-target=null --show-status=no
BOOT

sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$cgroups/finding-$$" \
    unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh "$folder/boot" "$folder/root" >"$folder/log" 2>&1 &
machine=$!

# the first process of the new namespaces; the commands below run beside it
inside() { nsenter --target="$(cat "/proc/$machine/task/$machine/children" | tr -d ' ')" --mount --pid --net --ipc --root --wd=/ "$@"; }
tries=0
until [ "$(inside systemctl is-active started.target 2>/dev/null)" = active ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat "$folder/log"; exit 1; }
    sleep 0.1
done

for user in static dynamic; do
    inside systemctl start "$user.service"
    echo "$user: the service runs: $(inside ls /dev/shm)"
    inside systemctl stop "$user.service"
    left=$(inside ls /dev/shm)
    echo "$user: it was stopped: ${left:-nothing}"
    inside rm -f /dev/shm/lock
done | tee "$folder/seen"
inside systemctl --version | head -n 1
diff - "$folder/seen" <<'EXPECTED'
static: the service runs: lock
static: it was stopped: lock
dynamic: the service runs: lock
dynamic: it was stopped: nothing
EXPECTED
