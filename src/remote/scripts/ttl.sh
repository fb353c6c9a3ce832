#!/bin/sh
# ttl.sh: sets when this machine turns itself off, or that it never does. usage: sudo sh -s SECONDS_SINCE_1970|never
# Prints this host's clock, in seconds since 1970. Run again, with the same time or another, it ends the same.
#
# A timer on an absolute time, in UTC: it holds whatever becomes of the clock and across reboots. A machine that had
# no power at its end boots, and has 15 minutes in which it can be given another one.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_HOST_ROOT:-}
UNITS=$ROOT/etc/systemd/system
LIB=$ROOT/usr/local/lib/provision
VAR=$ROOT/var/lib/provision
# What cloud-init set until this could be.
FIRST=provision-first-end.timer

put() { mkdir -p "${1%/*}"; cat >"$1.tmp"; chmod "$2" "$1.tmp"; sync "$1.tmp"; mv -f "$1.tmp" "$1"; }
forget_first() { ! systemctl -q is-active "$FIRST" || systemctl stop "$FIRST"; }

case ${1:-} in
  never)
    [ ! -e "$UNITS/provision-ttl.timer" ] || systemctl -q disable --now provision-ttl.timer
    rm -f "$UNITS/provision-ttl.timer" "$UNITS/provision-ttl.service" "$LIB/ttl" "$VAR/expires"
    systemctl daemon-reload
    forget_first
    date +%s
    exit 0 ;;
  '' | *[!0-9]*) echo "usage: ttl.sh SECONDS_SINCE_1970|never" >&2; exit 64 ;;
esac

put "$LIB/ttl" 0755 <<'TTL'
#!/bin/sh
# provision: turns this machine off once it is past its end. Looks at the file, so that another end counts at once.
set -u
VAR=${PROVISION_HOST_ROOT:-}/var/lib/provision
read -r ends <"$VAR/expires" || exit 0
case $ends in '' | *[!0-9]*) echo "no time: $ends" >&2; exit 1 ;; esac
if [ "$(date +%s)" -lt "$ends" ]; then echo "not yet: it ends $(date -u -d "@$ends" '+%F %T UTC')"; exit 0; fi
echo "the time of this environment is up ($(date -u -d "@$ends" '+%F %T UTC')): turning off"
! command -v wall >/dev/null || wall 'provision: the time of this environment is up; the machine turns itself off' || true
exec systemctl --no-block poweroff
TTL
echo "$1" | put "$VAR/expires" 0644
put "$UNITS/provision-ttl.service" 0644 <<'END'
[Unit]
Description=provision: turn off at the end of the time to live

[Service]
Type=oneshot
ExecStart=/usr/local/lib/provision/ttl
END
put "$UNITS/provision-ttl.timer" 0644 <<END
[Unit]
Description=provision: the end of the time to live

[Timer]
OnCalendar=$(date -u -d "@$1" '+%F %T UTC')
OnBootSec=15min
AccuracySec=1s

[Install]
WantedBy=timers.target
END
systemctl daemon-reload
systemctl -q enable provision-ttl.timer
systemctl restart provision-ttl.timer
forget_first
date +%s
