#!/bin/sh
# hosts.sh: the scripts for hosts that were there before, and the guard of sshd and firewall. usage: tests/scripts/hosts.sh
# nft, iptables, sshd and systemd are programs that answer from files, and /etc is a folder of the test's own in a mount namespace.
set -eu
cd "$(dirname "$0")/../.."
HOST=$PWD/src/remote/scripts SSH=$PWD/src/provider/ssh
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
ok() { echo "ok  $*"; }

# --- templates
for kind in root admin 'root --whole' 'admin --whole'; do
  # shellcheck disable=SC2086 # one or two words
  python3 tests/scripts/render.py "$T/$kind" --existing $kind
  awk "/<<'FIREWALL'/ { on = 1; next } /^FIREWALL/ { on = 0 } on" "$T/$kind/converge.sh" >"$T/$kind/firewall.sh"
  shellcheck "$T/$kind/converge.sh" "$T/$kind/firewall.sh"
  for theirs in unattended-upgrades useradd 'HostKey ' /etc/fstab journald 52provision AuthenticationMethods; do
    ! grep -q -- "$theirs" "$T/$kind/converge.sh" || fail "for a host that was there before, the script of $kind has $theirs"
  done
done
shellcheck "$SSH"/*.sh
grep -q 'PermitRootLogin prohibit-password' "$T/root/converge.sh" || fail 'root would be locked out'
grep -q 'PermitRootLogin no' "$T/admin/converge.sh" || fail 'root would get in'
{ grep -q 'policy accept' "$T/admin/firewall.sh" && ! grep -q 'policy drop' "$T/admin/firewall.sh"; } || fail 'what others serve would be closed'
grep -q 'policy drop' "$T/admin --whole/firewall.sh" || fail 'the whole host would stay open'
# What Debian 12 gets; its packages lie where the lab cannot reach.
grep -q "'debian 12') echo docker-ce docker-ce-cli containerd.io docker-compose-plugin" "$T/admin/converge.sh" || fail 'Debian 12 gets another Docker'
ok 'the script for hosts that were there before'

# --- preflight, on this computer
sh "$SSH/preflight.sh" >"$T/preflight" || fail 'preflight.sh fails here'
for word in 'preflight 1' 'clock ' 'os ' 'systemd ' 'memory_kib ' 'disk_free_kib ' 'sudo '; do
  grep -q "^$word" "$T/preflight" || { cat "$T/preflight"; fail "preflight.sh does not tell: $word"; }
done
ok 'preflight.sh tells what it is asked'

if ! { [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; }; then
  echo 'skipped  guard.sh, leave.sh: they run as root, in a mount namespace'
  exit 0
fi

# --- a world of files
W=$T/w
mkdir -p "$W/sbin" "$W/ssh/sshd_config.d" "$W/units" "$W/lib/provision" "$W/var" "$W/state"
cat >"$W/sbin/nft" <<END
#!/bin/sh
case \$* in
  *'list table inet provision') cat "$W/state/nft" 2>/dev/null || exit 1 ;;
  'delete table inet provision') rm "$W/state/nft" 2>/dev/null || exit 1 ;;
  '-f '*) cp "\$2" "$W/state/nft" ;;
esac
END
cat >"$W/sbin/iptables" <<END
#!/bin/sh
name=\${0##*/} ; s=$W/state/\$name
[ "\$1" != -w ] || shift 2
case \$* in
  '-S PROVISION-DOCKER') cat "\$s" 2>/dev/null || exit 1 ;;
  '-S DOCKER-USER') [ ! -e "\$s.jump" ] || echo '-A DOCKER-USER -j PROVISION-DOCKER' ;;
  '-D DOCKER-USER'*) rm "\$s.jump" 2>/dev/null || exit 1 ;;
  '-I DOCKER-USER'*) : >"\$s.jump" ;;
  '-n -L PROVISION-DOCKER') [ -e "\$s" ] || exit 1 ;;
  '-X PROVISION-DOCKER') rm -f "\$s" ;;
esac
END
# shellcheck disable=SC2016 # the program's dollars
printf '#!/bin/sh\ns=%s/state/${0##*/}\n{ echo "-N PROVISION-DOCKER"; grep "^-A"; } >"${s%%-restore}"\n' "$W" >"$W/sbin/iptables-restore"
cp "$W/sbin/iptables" "$W/sbin/ip6tables"; cp "$W/sbin/iptables-restore" "$W/sbin/ip6tables-restore"
printf '#!/bin/sh\necho "$*" >>%s/state/systemctl\n' "$W" >"$W/sbin/systemctl"
printf '#!/bin/sh\necho "$*" >>%s/state/timers\n' "$W" >"$W/sbin/systemd-run"
printf '#!/bin/sh\nexit 0\n' >"$W/sbin/sshd"
printf '#!/bin/sh\nexit 1\n' >"$W/sbin/docker"
chmod 755 "$W/sbin"/*
# What the converge script would do to sshd and firewall; `bad` fails in the middle of it.
cat >"$W/converge" <<END
set -e
echo new >/etc/ssh/sshd_config.d/00-provision.conf
[ ! -e "$W/bad" ] || exit 7
echo new >/usr/local/lib/provision/firewall
echo 'table inet provision { new }' >"$W/state/nft"
printf -- '-N PROVISION-DOCKER\n-A PROVISION-DOCKER -j DROP\n' >"$W/state/iptables"; : >"$W/state/iptables.jump"
mkdir -p /etc/systemd/system/sysinit.target.wants
ln -sf ../provision-firewall.service /etc/systemd/system/sysinit.target.wants/provision-firewall.service
END
cat >"$W/inside" <<END
mount --bind "$W/ssh" /etc/ssh; mount --bind "$W/units" /etc/systemd/system; mount --bind "$W/lib" /usr/local/lib; mount --bind "$W/sbin" /usr/local/sbin
exec sh -s -- "\$@"
END
world() { unshare --mount sh "$W/inside" "$@"; }
guard() { PROVISION_LASTING=$W/var world "$@" <"$HOST/guard.sh"; }
picture() { (cd "$W" && find ssh units lib state -type f ! -name systemctl ! -name timers -exec sha256sum {} + -o -type l -printf '%p %l\n' | sort); }

# --- the guard
before=$(picture)
mkdir -p "$W/var/converge"; : >"$W/var/converge/sshd"; : >"$W/var/converged"
[ "$(guard change 60 "$W/converge" sshd firewall)" = armed ] || fail 'a change is not armed'
[ "$(picture)" != "$before" ] || fail 'nothing was changed'
tail -n 1 "$W/state/timers" | grep -q -- "--on-active=60s .* sh $W/var/guard/revert" || { cat "$W/state/timers"; fail 'no timer'; }
world <"$W/var/guard/revert" >"$T/said"
[ "$(picture)" = "$before" ] || { picture; fail 'what nobody confirmed is not as it was before'; }
{ [ ! -e "$W/var/converge/sshd" ] && [ ! -e "$W/var/converged" ]; } || fail 'the script would not do it again'
grep -q 'try-reload-or-restart ssh.service' "$W/state/systemctl" || fail 'sshd was not reloaded'
rc=0; guard confirm 2>/dev/null || rc=$?
[ "$rc" = 66 ] || fail "confirming too late: exit $rc"

guard change 60 "$W/converge" sshd firewall >"$T/said"; guard confirm
after=$(picture)
tail -n 1 "$W/state/systemctl" | grep -q 'stop provision-revert.timer' || fail 'the timer was not stopped'
[ ! -e "$W/var/guard" ] || fail 'the guard left something'
[ "$(guard change 60 "$W/converge" sshd firewall)" = unchanged ] || fail 'nothing changed, and somebody has to confirm it'
# From something to something else, and back by the timer.
sed -i 's/new/newer/' "$W/converge"
[ "$(guard change 60 "$W/converge" sshd firewall)" = armed ] || fail 'another change is not armed'
world <"$W/var/guard/revert" >"$T/said"
[ "$(picture)" = "$after" ] || { picture; fail 'it is not as it was confirmed'; }
# A part that fails is undone at once, with its exit code.
: >"$W/bad"; rc=0; guard change 60 "$W/converge" sshd firewall >"$T/said" 2>&1 || rc=$?
[ "$rc" = 7 ] || fail "parts that fail: exit $rc"
{ [ "$(picture)" = "$after" ] && [ ! -e "$W/var/guard" ]; } || fail 'parts that fail leave something'
for words in '' 'change' 'change x /c sshd' 'confirm now' 'drop'; do
  rc=0
  # shellcheck disable=SC2086 # words
  guard $words 2>/dev/null || rc=$?
  [ "$rc" = 64 ] || fail "the guard took '$words': exit $rc"
done
ok 'sshd and firewall come back unless somebody confirms'

# --- leaving
H=$T/h
host() { PROVISION_HOST_ROOT=$H world "$@" <"$SSH/leave.sh"; }
mkdir -p "$H/var/lib/provision/converge" "$H/usr/local/lib/provision" "$H/opt/provision/stacks/app/data" "$H/etc/ssh/sshd_config.d" \
  "$H/etc/docker" "$H/etc/systemd/system/docker.service.d" "$H/etc/systemd/system/sysinit.target.wants" "$H/run"
echo 11 >"$H/var/lib/provision/owner"; echo docker.io docker-cli >"$H/var/lib/provision/converge/packages.ours"
echo theirs >"$H/etc/ssh/sshd_config"; echo '{}' >"$H/etc/docker/daemon.json"; echo theirs >"$H/etc/systemd/system/docker.service.d/mine.conf"
theirs=$(cd "$H" && find etc -type f -exec sha256sum {} + | sort)
: >"$H/etc/ssh/sshd_config.d/00-provision.conf"; : >"$H/etc/systemd/system/provision-firewall.service"
: >"$H/etc/systemd/system/docker.service.d/provision.conf"
ln -s ../provision-firewall.service "$H/etc/systemd/system/sysinit.target.wants/provision-firewall.service"
echo row >"$H/opt/provision/stacks/app/data/row"
host look 22 | grep -qx 'other 11' || fail 'a host of somebody else is taken for ours'
host look 11 >"$T/said"
for line in 'stack app' 'packages docker.io docker-cli ' 'left file /var/lib/provision' 'left file /etc/ssh/sshd_config.d/00-provision.conf' \
  'file /opt/provision/stacks/app/data/row' 'left iptables chain PROVISION-DOCKER' 'left firewall table inet provision'; do
  grep -qx "$line" "$T/said" || { cat "$T/said"; fail "what is there of ours lacks: $line"; }
done
host base 11
host look 11 >"$T/said"
[ "$(cat "$T/said")" = "$(printf 'stack app\nfile /opt/provision/stacks/app/data/row')" ] || { cat "$T/said"; fail 'something of ours is left'; }
[ "$(cd "$H" && find etc -type f -exec sha256sum {} + | sort)" = "$theirs" ] || fail 'a file of somebody else was touched'
host base 11 || fail 'leaving twice'
for words in '' 'look' 'look x' 'drop 11'; do
  rc=0
  # shellcheck disable=SC2086 # words
  host $words 2>/dev/null || rc=$?
  [ "$rc" = 64 ] || fail "leave.sh took '$words': exit $rc"
done
ok 'a host is left as it was found'
