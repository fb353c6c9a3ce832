#!/bin/sh
# guard.sh: changes the ways in (sshd, firewall) so that nobody is locked out: what was there before comes back by itself unless
# somebody who came in by a new connection confirms.
# usage: sudo sh -s -- change SECONDS CONVERGE PART… | confirm <guard.sh
#   change   keeps what is there, sets the timer, runs these parts of the converge script, and gives SECONDS to confirm from its end
#            on. Prints `armed`, or `unchanged` where there is nothing to confirm. Parts that fail are undone at once.
#   confirm  takes the timer away. Exit 66: what was there before is back already.
# Between the two, neither needs the other's connection, nor this computer.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VAR=${PROVISION_LASTING:-/var/lib/provision}
KEPT=$VAR/guard
UNIT=provision-revert
# How long the parts themselves may take: then it is all undone, whatever became of them.
WORK=300

# What can shut the door, and what would do it again at the next boot.
FILES='/etc/ssh/sshd_config.d/00-provision.conf
/usr/local/lib/provision/firewall
/etc/systemd/system/provision-firewall.service
/etc/systemd/system/sysinit.target.wants/provision-firewall.service'

# The rules as they are loaded; empty where there are none of ours.
rules() {
  nft --stateless list table inet provision 2>/dev/null || :
  for t in iptables ip6tables; do
    echo "# $t"
    $t -w 30 -S PROVISION-DOCKER 2>/dev/null || :
    $t -w 30 -S DOCKER-USER 2>/dev/null | grep -x -- '-A DOCKER-USER -j PROVISION-DOCKER' || :
  done
}

# put_aside FOLDER: copies of the files by number, and the rules.
put_aside() {
  mkdir -p "$1"
  n=0
  for f in $FILES; do
    n=$((n + 1))
    if [ -L "$f" ]; then readlink "$f" >"$1/$n.link"; elif [ -e "$f" ]; then cp -p "$f" "$1/$n"; fi
  done
  rules >"$1/rules"
}

timer_off() { systemctl stop "$UNIT.timer" 2>/dev/null || :; }
timer_on() {
  systemctl reset-failed "$UNIT.service" 2>/dev/null || :
  systemd-run --quiet --unit="$UNIT" --on-active="${1}s" --timer-property=AccuracySec=500ms sh "$KEPT/revert"
}

write_revert() {
  {
    echo '#!/bin/sh'
    echo '# Written by guard.sh: brings sshd settings and firewall back to what they were before nobody confirmed.'
    echo 'set -u'
    echo 'export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    echo "VAR='$VAR' KEPT='$KEPT' FILES='$FILES'"
    cat <<'END'
exec 9>"$VAR/guard.lock"
flock -w 60 9 || exit 1
[ -d "$KEPT/before" ] || exit 0
n=0
for f in $FILES; do
  n=$((n + 1))
  rm -f "$f"
  mkdir -p "${f%/*}"
  if [ -e "$KEPT/before/$n.link" ]; then ln -s "$(cat "$KEPT/before/$n.link")" "$f"; elif [ -e "$KEPT/before/$n" ]; then cp -p "$KEPT/before/$n" "$f"; fi
done
nft delete table inet provision 2>/dev/null
sed '/^# iptables$/,$d' "$KEPT/before/rules" >"$KEPT/nft"
[ ! -s "$KEPT/nft" ] || nft -f "$KEPT/nft"
for t in iptables ip6tables; do
  awk -v t="# $t" '/^# / { on = $0 == t; next } on' "$KEPT/before/rules" >"$KEPT/chains"
  while $t -w 30 -D DOCKER-USER -j PROVISION-DOCKER 2>/dev/null; do :; done
  if $t -w 30 -n -L PROVISION-DOCKER >/dev/null 2>&1; then $t -w 30 -F PROVISION-DOCKER; $t -w 30 -X PROVISION-DOCKER; fi
  if grep -q '^-N PROVISION-DOCKER' "$KEPT/chains"; then
    { echo '*filter'; echo ':PROVISION-DOCKER - [0:0]'; grep '^-A PROVISION-DOCKER' "$KEPT/chains"; echo COMMIT; } | "$t-restore" -w 30 --noflush
  fi
  ! grep -qx -- '-A DOCKER-USER -j PROVISION-DOCKER' "$KEPT/chains" || $t -w 30 -I DOCKER-USER 1 -j PROVISION-DOCKER
done
mkdir -p /run/sshd
if sshd -t; then systemctl try-reload-or-restart ssh.service; fi
# The script has to do them again.
rm -f "$VAR/converge/sshd" "$VAR/converge/firewall" "$VAR/converged"
rm -rf "$KEPT"
echo 'provision: nobody confirmed the new sshd settings and firewall in time; those of before are back'
END
  } >"$KEPT/revert"
}

change() {
  seconds=$1 converge=$2; shift 2
  # Whoever asks for this came in by a connection that is newer than an earlier change.
  timer_off
  rm -rf "$KEPT"
  put_aside "$KEPT/before"
  write_revert
  sync "$KEPT/revert" "$KEPT/before"/*
  timer_on "$WORK"
  # The lock is for confirm and the timer: the parts may take their time.
  flock -u 9
  rc=0
  sh "$converge" "$@" 9>&- || rc=$?
  flock -w 60 9 || exit 75
  [ -d "$KEPT/before" ] || { echo 'error: it took too long; what was there before is back' >&2; exit 75; }
  timer_off
  if [ "$rc" != 0 ]; then
    flock -u 9
    sh "$KEPT/revert" >&2 9>&- || :
    exit "$rc"
  fi
  put_aside "$KEPT/after"
  if diff -r "$KEPT/before" "$KEPT/after" >/dev/null; then
    rm -rf "$KEPT"
    echo unchanged
  else
    timer_on "$seconds"
    echo armed
  fi
}

confirm() {
  [ -d "$KEPT/before" ] || { echo 'error: nobody confirmed in time; what was there before is back' >&2; exit 66; }
  timer_off
  rm -rf "$KEPT"
}

main() {
  case ${1:-}:$# in
    confirm:1) ;;
    change:[4-9]) case $2 in '' | *[!0-9]*) echo "guard.sh: bad number '$2'" >&2; exit 64 ;; esac ;;
    *) echo 'usage: guard.sh change SECONDS CONVERGE PART… | confirm' >&2; exit 64 ;;
  esac
  umask 077
  mkdir -p "$VAR"
  chmod 0755 "$VAR"
  exec 9>"$VAR/guard.lock"
  flock -w 60 9 || { echo 'error: the guard is at work' >&2; exit 75; }
  verb=$1; shift
  "$verb" "$@"
}

main "$@"
