#!/bin/sh
# run.sh: what can be checked of the host's scripts without a host. usage: tests/scripts/run.sh
# Renders the templates and checks size and syntax; runs the scripts that place files in a folder of their own,
# and kills one of them at many instants.
set -eu
cd "$(dirname "$0")/../.."
HOST=$PWD/src/remote/scripts
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export PROVISION_ROOT="$T/opt"

fail() { echo "FAILED: $*" >&2; exit 1; }
ok() { echo "ok  $*"; }

# --- templates
for volume in '' --data-volume; do
  # shellcheck disable=SC2086 # nothing or one word
  python3 tests/scripts/render.py "$T/rendered$volume" $volume
  dash -n "$T/rendered$volume/converge.sh" 2>/dev/null || sh -n "$T/rendered$volume/converge.sh"
done
size=$(wc -c <"$T/rendered--data-volume/user-data.yaml")
[ "$size" -lt 16384 ] || fail "user-data has $size bytes; EC2 takes 16384"
ok "user-data renders, $size bytes with three keys"

if command -v cloud-init >/dev/null; then
  cloud-init schema --config-file "$T/rendered/user-data.yaml" >"$T/schema" 2>&1 || { cat "$T/schema"; fail 'cloud-init schema'; }
  ok 'cloud-init schema'
else
  echo 'skipped  cloud-init schema: cloud-init is not installed'
fi

awk "/<<'FIREWALL'/ { on = 1; next } /^FIREWALL/ { on = 0 } on" "$T/rendered/converge.sh" >"$T/firewall.sh"
command -v shellcheck >/dev/null || fail 'shellcheck is not installed (apt-get install shellcheck)'
shellcheck "$T/rendered/converge.sh" "$T/rendered--data-volume/converge.sh" "$T/firewall.sh" "$HOST"/*.sh tests/scripts/*.sh
ok 'shellcheck'

# --- packages: the part's own functions, with a clock that jumps and nothing to wait for
mkdir -p "$T/state"
cat >"$T/packages.sh" <<'END'
set -u
die() { echo "error: $*" >&2; exit 1; }
date() { now=$(($(cat "$STATE/clock") + 45)); echo "$now" >"$STATE/clock"; echo "$now"; }
sleep() { :; }
dpkg() { :; }
END
awk '/^# part: / { on = $3 == "packages" } on' "$T/rendered/converge.sh" >>"$T/packages.sh"
# packages FUNCTION ARGUMENT…: output and log in "$T/state/log".
packages() {
  echo 0 >"$T/state/clock"; : >"$T/state/log"; rc=0
  STATE=$T/state sh -c '. "$0"; "$@"' "$T/packages.sh" "$@" >>"$T/state/log" 2>&1 || rc=$?
}
tries() { grep -c 'trying again$' "$T/state/log" || true; }

# The real apt, and a mirror on a port where nobody listens: `update` would end with 0.
if command -v apt-get >/dev/null; then
  mkdir -p "$T/apt/etc/apt/preferences.d" "$T/apt/var/lib/apt/lists/partial" "$T/apt/var/cache/apt/archives/partial"
  : >"$T/apt/status"
  echo 'deb [trusted=yes] http://127.0.0.1:1/ ./' >"$T/apt/etc/apt/sources.list"
  printf 'Dir "%s/apt";\nDir::State::status "%s/apt/status";\nDir::Etc::main "/dev/null";\nDir::Etc::parts "/dev/null";\nAcquire::http::Proxy "DIRECT";\n' \
    "$T" "$T" >"$T/apt.conf"
  : >"$T/state/apt-gave-up"
  APT_CONFIG=$T/apt.conf packages apt_index docker.io
  [ "$rc" = 1 ] || fail "a mirror that does not answer: exit $rc"
  tail -n 1 "$T/state/log" | grep -Eq '^error: the package index could not be fetched: .*http://127\.0\.0\.1:1/.* [Cc]onnect' ||
    { cat "$T/state/log"; fail 'a mirror that does not answer is not named'; }
  rm "$T/state/apt-gave-up"
  ok 'a package index that cannot be fetched is named with its mirror'
else
  echo 'skipped  package index: there is no apt-get here'
fi

mkdir -p "$T/bin"
printf '#!/bin/sh\n%s\nexit 100\n' 'echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)" >&2' >"$T/bin/apt-get"
chmod 755 "$T/bin/apt-get"
PATH=$T/bin:$PATH packages apt_install docker.io
[ "$rc $(tries)" = '1 13' ] || fail "a lock that is held: exit $rc after $(tries) more tries"
grep -q '^error: packages could not be installed: Could not get lock .* (for 630s)$' "$T/state/log" || fail "a lock that is held: $(tail -n 1 "$T/state/log")"
PATH=$T/bin:$PATH packages apt_install docker.io
[ "$rc $(tries)" = '1 1' ] || fail "the run after one that gave up: exit $rc after $(tries) more tries"
rm "$T/state/apt-gave-up"
printf '#!/bin/sh\n%s\nexit 100\n' 'echo "E: Unable to locate package docker.io" >&2' >"$T/bin/apt-get"
PATH=$T/bin:$PATH packages apt_install docker.io
[ "$rc $(tries)" = '1 0' ] || fail "a package that is nowhere: exit $rc after $(tries) more tries"
printf '#!/bin/sh\n%s\n' 'case $* in *simulate*) ;; *) echo "E: Failed to fetch http://other/" >&2; exit 100 ;; esac' >"$T/bin/apt-get"
PATH=$T/bin:$PATH packages apt_index docker.io
[ "$rc" = 0 ] || fail "a foreign source that is down: exit $rc"
ok 'apt is tried again for as long as that may help'

# --- the probe on a machine that has nothing of ours
if [ -w /run ]; then
  sh -s <"$HOST/probe.sh" >"$T/probe.json"
  python3 - "$T/probe.json" <<'END' || fail 'probe.sh prints no JSON object, or not all of its fields'
import json, sys
want = {"probe", "boot_id", "os", "hostname", "clock", "cloud_init", "owner", "converged", "converge_failed", "expires", "base", "host_key", "files",
        "releases", "containers", "images", "networks", "own_networks", "volumes", "listeners", "disk", "memory", "uptime_seconds", "starting"}
got = json.load(open(sys.argv[1], encoding="utf-8"))
sys.exit(set(got) != want and f"fields: {sorted(set(got) ^ want)}")
END
  ok 'probe.sh prints its JSON'
else
  echo 'skipped  probe.sh: it runs as root'
fi

# --- the probe on a host as somebody left it: tools that answer from files, in a mount namespace
probe_world() {
  mkdir -p "$T/w/sbin" "$T/w/stacks/app/conf"
  cat >"$T/w/iptables" <<'END'
-P INPUT ACCEPT
-P FORWARD DROP
-N DOCKER-USER
-A INPUT -p tcp -m tcp --dport 9 -j ACCEPT
-A INPUT -p tcp -j f2b-sshd
-A FORWARD -p tcp -m tcp --dport 5434 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 -p tcp -j ACCEPT
-A DOCKER-USER -s 192.0.2.1/32 -j ACCEPT
-A DOCKER-USER -j PROVISION-DOCKER
-A DOCKER-USER -j RETURN
-A PROVISION-DOCKER -m conntrack --ctstate DNAT -j DROP
-A PROVISION-DOCKER -o docker+ -j DROP
-A PROVISION-DOCKER -o br-+ -j DROP
END
  printf '#!/bin/sh\ncat %s/w/iptables\n' "$T" >"$T/w/sbin/iptables"
  printf '#!/bin/sh\necho "-A PROVISION-DOCKER -j RETURN"\n' >"$T/w/sbin/ip6tables"
  cat >"$T/w/sbin/nft" <<'END'
#!/bin/sh
case $* in
  'list tables') printf 'table ip filter\ntable inet provision\ntable inet mine\ntable inet f2b-table\n' ;;
  '--stateless list table inet provision') printf 'table inet provision {\n\tchain input {\n\t\tpolicy drop;\n\t\ttcp dport 1 accept\n\t}\n}\n' ;;
esac
END
  printf '#!/bin/sh\nprintf "port 22\\nmaxsessions 32\\npermitrootlogin no\\npasswordauthentication yes\\n"\n' >"$T/w/sbin/sshd"
  # shellcheck disable=SC2016 # the dollar is the tool's
  printf '#!/bin/sh\n[ "$*" != is-system-running ] || { echo starting; exit 1; }\n[ ! -e %s/w/asleep ]\n' "$T" >"$T/w/sbin/systemctl"
  cat >"$T/w/sbin/docker" <<'END'
#!/bin/sh
case $* in 'network ls '*) printf 'bridge 1a \nprovision 2b 1\n' ;; esac
END
  chmod 755 "$T/w/sbin/"*
  echo one >"$T/w/stacks/app/conf/a b"; echo two >"$T/w/stacks/app/compose.yaml"
  (cd "$T/w/stacks/app" && for p in compose.yaml 'conf/a b' gone; do
    printf '%s  0644  %s\n' "$(sha256sum <"$([ "$p" = gone ] && echo /dev/null || echo "$p")" | cut -c1-64)" "$p"; done >.manifest)
  echo edited >>"$T/w/stacks/app/conf/a b"; chmod 600 "$T/w/stacks/app/compose.yaml"
}
if [ -w /run ] && unshare --mount true 2>/dev/null; then
  probe_world
  mkdir -p "$T/w/opt/provision" && mv "$T/w/stacks" "$T/w/opt/provision/"
  # shellcheck disable=SC2016 # the inner shell's dollars
  probe() { unshare --mount sh -c 'mount --bind "$1/w/sbin" /usr/local/sbin && mount --bind "$1/w/opt" /opt && exec sh -s <"$2"' _ "$T" "$HOST/probe.sh" >"$T/probe.json"; }
  probe
  python3 - "$T/probe.json" <<'END' || fail 'probe.sh does not tell a changed host as it is'
import hashlib, json, sys
probe = json.load(open(sys.argv[1], encoding="utf-8"))
base, folder = probe["base"], "/opt/provision/stacks/app/"
assert base["firewall_rules"].splitlines() == [
    "table inet provision {", "chain input {", "policy drop;", "tcp dport 1 accept",
    "-A FORWARD -p tcp -m tcp --dport 5434 -j ACCEPT", "-A DOCKER-USER -s 192.0.2.1/32 -j ACCEPT",
    "-A PROVISION-DOCKER -m conntrack --ctstate DNAT -j DROP", "-A PROVISION-DOCKER -o docker+ -j DROP",
    "-A PROVISION-DOCKER -o br-+ -j DROP", "-6 -A PROVISION-DOCKER -j RETURN"], base
assert base["foreign_rules"].splitlines() == ["-A INPUT -p tcp -m tcp --dport 9 -j ACCEPT", "table inet mine"], base
assert base["sshd_settings"].splitlines() == ["port 22", "permitrootlogin no", "passwordauthentication yes"], base
assert base["firewall_live"] and probe["starting"] is True, base
assert probe["networks"] == ["bridge", "provision"] and probe["own_networks"] == {"provision": "2b"}, probe
digest = lambda text: hashlib.sha256(text).hexdigest()
files = probe["files"]
assert set(files) == {folder + "compose.yaml", folder + "conf/a b"}, files
edited, private = files[folder + "conf/a b"], files[folder + "compose.yaml"]
assert (edited["placed"], edited["sha256"]) == (digest(b"one\n"), digest(b"one\nedited\n")), edited
assert (private["mode"], private["placed_mode"], private["placed"]) == ("0600", "0644", private["sha256"]), private
assert isinstance(edited["modified"], int), edited
assert len(probe["releases"]["app"]) == 64 and set(probe["releases"]) == {"app"}, probe["releases"]
END
  : >"$T/w/asleep"
  probe
  python3 - "$T/probe.json" <<'END' || fail 'probe.sh asks a docker that is still being started'
import json, sys
probe = json.load(open(sys.argv[1], encoding="utf-8"))
assert probe["starting"] is True and probe["base"]["docker"] is False and probe["networks"] == [], probe
END
  ok 'probe.sh tells what somebody did on a host'
else
  echo 'skipped  probe.sh on a changed host: no mount namespaces here'
fi

# --- health: a container is given the start period that it says itself
if [ -w /run ] && unshare --mount true 2>/dev/null; then
  mkdir -p "$T/h/sbin"
  cat >"$T/h/sbin/docker" <<'END'
#!/bin/sh
# One container, healthy at the fourth look.
case $* in
  'ps '*) echo one ;;
  *StartPeriod*) cat "$HEALTH_WORLD/period" ;;
  *com.docker.compose.service*)
    echo look >>"$HEALTH_WORLD/looks"
    health=starting
    [ "$(grep -c look "$HEALTH_WORLD/looks")" -lt 4 ] || health=healthy
    echo "app-web-1|web|running|$health|0|unless-stopped|0|2026-01-01T00:00:00Z|False"
    ;;
esac
END
  chmod 755 "$T/h/sbin/docker"
  export HEALTH_WORLD="$T/h"
  # shellcheck disable=SC2016 # the inner shell's dollars
  health() { : >"$T/h/looks"; unshare --mount sh -c 'mount --bind "$1/h/sbin" /usr/local/sbin && exec sh -s -- app 1 web <"$2"' _ "$T" "$HOST/health.sh"; }
  echo 0 >"$T/h/period"
  ! health >"$T/health" || fail 'health.sh waits without an end'
  grep -q '"not healthy in time"' "$T/health" || fail 'health.sh does not say why it gave up'
  echo 600000000000 >"$T/h/period"
  health >"$T/health" || fail 'health.sh gives up within a start period'
  tail -n 1 "$T/health" | grep -q '"healthy":true' || fail 'health.sh does not say that it is healthy'
  ok 'health.sh waits as long as a health check says itself'
else
  echo 'skipped  health.sh: no mount namespaces here'
fi

# --- the audit on a host with everything open: tools that answer from files, in a mount namespace
audit_world() {
  mkdir -p "$T/a/sbin"
  printf '#!/bin/sh\necho "table inet provision {"; printf "\\tchain input {\\n\\t\\tiif \\"lo\\" accept\\n\\t}\\n}\\n"\n' >"$T/a/sbin/nft"
  printf '#!/bin/sh\nprintf -- "-P INPUT ACCEPT\\n-A DOCKER-USER -m comment --comment \\"a \\\\\\\\ b\\" -j ACCEPT\\n"\n' >"$T/a/sbin/iptables"
  printf '#!/bin/sh\nexit 1\n' >"$T/a/sbin/ip6tables"
  # shellcheck disable=SC2016 # the dollar is the tool's
  printf '#!/bin/sh\ncase $3 in user=root,*) echo "permitrootlogin yes" ;; user=deploy,*) echo "permitrootlogin no" ;; esac\n' >"$T/a/sbin/sshd"
  cat >"$T/a/sbin/ss" <<'END'
#!/bin/sh
echo 'tcp LISTEN 0 4096 0.0.0.0:5432 0.0.0.0:* users:(("docker-proxy",pid=1,fd=4))'
echo 'tcp LISTEN 0 128 [::1]:631 [::]:*'
END
  cat >"$T/a/sbin/apt-get" <<'END'
#!/bin/sh
echo 'Inst openssl [3.0.1] (3.0.2 Debian-Security:13/stable-security [amd64])'
echo 'Inst vim [1] (2 Debian:13.1/stable [amd64])'
echo 'Conf openssl (3.0.2 Debian-Security:13/stable-security [amd64])'
END
  cat >"$T/a/sbin/docker" <<'END'
#!/bin/sh
case $1 in
  ps) printf 'one\ntwo\nthree\n' ;;
  inspect)
    [ ! -e "$AUDIT_TEMPLATE" ] || { echo "template parsing error: no such field" >&2; exit 64; }
    cat <<'ANSWER'
C {"name":"app-web-1","project":"app","service":"web","image":"x:1","user":"","privileged":true,"network_mode":"host","pid_mode":"host","cap_add":["SYS_ADMIN"],"mounts":[{"Type":"bind","Source":"/var/run/docker.sock"}],"ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"80"}]}
E "PATH=/usr/bin"
E "PASSWORD=hunter\"2=\u003c"
E "EMPTY="
E "BARE"
E "URL=postgresql://app:pa%2Fss@db:5432/app"
E "NOURL=https://example.com/a@b"
C {"name":"two","project":null,"service":null,"image":"x:1","user":"1","privileged":false,"network_mode":"n","pid_mode":"","cap_add":null,"mounts":[],"ports":null
C {"name":"three","project":null,"service":null,"image":"x:1","user":"1","privileged":false,"network_mode":"n","pid_mode":"","cap_add":null,"mounts":[],"ports":{}
E "TOKEN=t0ken"
ANSWER
    ;;
esac
END
  chmod 755 "$T/a/sbin/"*
}
if [ -w /run ] && unshare --mount true 2>/dev/null; then
  audit_world
  export AUDIT_TEMPLATE="$T/a/template"
  # shellcheck disable=SC2016 # the inner shell's dollars
  audit() { unshare --mount sh -c 'mount --bind "$1/a/sbin" /usr/local/sbin && script=$2 && shift 2 && SUDO_USER=deploy exec sh -s -- "$@" <"$script"' _ "$T" "$HOST/audit.sh" "$@"; }
  audit SALT updates >"$T/audit.json" || fail 'audit.sh does not end well'
  python3 - "$T/audit.json" <<'END' || fail 'audit.sh does not tell a host with everything open as it is'
import hashlib, json, sys
text = open(sys.argv[1], encoding="utf-8").read()
audit = json.loads(text)
assert set(audit) == {"audit", "clock", "ipv6", "listeners", "nft", "iptables", "ip6tables", "sshd", "docker", "containers", "updates", "reboot"}, audit
assert audit["nft"].splitlines()[2] == '\t\tiif "lo" accept', audit["nft"]
assert audit["iptables"].splitlines()[1] == '-A DOCKER-USER -m comment --comment "a \\ b" -j ACCEPT', audit["iptables"]
assert audit["ip6tables"] is None and audit["docker"] is True
assert audit["sshd"] == {"root": "permitrootlogin yes", "login": "permitrootlogin no"}, audit["sshd"]
assert audit["listeners"] == [{"proto": "tcp", "address": "0.0.0.0", "port": 5432, "process": "docker-proxy"},
                              {"proto": "tcp", "address": "::1", "port": 631, "process": None}], audit["listeners"]
assert (audit["updates"]["security"], audit["updates"]["others"]) == (["openssl"], 1), audit["updates"]
one, two, three = audit["containers"]
assert one["privileged"] and one["pid_mode"] == "host" and one["mounts"][0]["Source"] == "/var/run/docker.sock", one
env = {own["name"]: own for own in one["env"]}
digest = lambda value: hashlib.sha256(b"SALT" + value).hexdigest()
assert env["PASSWORD"]["value"] == digest(b'hunter\\"2=\\u003c') and env["PASSWORD"]["password"] is None, env
assert env["URL"]["password"] == digest(b"pa%2Fss") and env["NOURL"]["password"] is None, env
assert env["EMPTY"]["value"] is None and env["BARE"]["value"] is None, env
assert two["env"] == [] and three["env"][0]["value"] == digest(b"t0ken"), (two, three)
for secret in ("hunter", "pa%2Fss", "t0ken"):
    assert secret not in text, secret
END
  audit SALT >"$T/audit.json"
  python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["updates"] is None' "$T/audit.json" || fail 'audit.sh asks apt unasked'
  # A value reaches no command line, and nothing of it stays.
  [ -z "$(find /run -maxdepth 1 -name 'provision-audit.*')" ] || fail 'audit.sh leaves something in /run'
  : >"$AUDIT_TEMPLATE"
  rc=0; audit SALT >"$T/audit.json" 2>"$T/audit.said" || rc=$?
  grep -q 'template' "$T/audit.said" || rc=0
  [ "$rc" = 70 ] || fail "audit.sh takes a docker that does not understand it for one without containers: $rc"
  # A host with nothing at all: no docker, no firewall, no sshd.
  for tool in docker nft iptables sshd ss apt-get; do printf '#!/bin/sh\nexit 127\n' >"$T/a/sbin/$tool"; done
  audit SALT updates | python3 -c '
import json, sys
audit = json.load(sys.stdin)
assert audit["docker"] is False and audit["nft"] is None and audit["containers"] == [] and audit["updates"] is None, audit' || fail 'audit.sh on a bare host'
  ok 'audit.sh tells what is open, and no value'
else
  echo 'skipped  audit.sh: no mount namespaces here'
fi

# --- the end of the time to live
mkdir -p "$T/fake"
cat >"$T/fake/systemctl" <<'END'
#!/bin/sh
echo "$*" >>"$FAKE/calls"
case "$*" in *is-active*) [ -e "$FAKE/first" ] ;; *stop*first-end*) rm -f "$FAKE/first" ;; esac
END
cat >"$T/fake/wall" <<'END'
#!/bin/sh
echo "$*" >>"$FAKE/told"
END
chmod 755 "$T/fake"/*
export FAKE="$T/fake" PROVISION_HOST_ROOT="$T/host"
sed "s|^export LC_ALL=C PATH=|&$FAKE:|" "$HOST/ttl.sh" >"$T/ttl.sh"
ttl() { : >"$FAKE/calls"; sh -s -- "$@" <"$T/ttl.sh"; }
fires() { : >"$FAKE/calls"; PATH=$FAKE:$PATH sh "$T/host/usr/local/lib/provision/ttl" >"$T/fired"; }
UNITS=$T/host/etc/systemd/system
soon=$(($(date +%s) + 3600))
: >"$FAKE/first"
clock=$(ttl "$soon")
[ $((clock - $(date +%s))) -ge -5 ] || fail "ttl.sh prints the clock $clock"
grep -qx "OnCalendar=$(date -u -d "@$soon" '+%F %T UTC')" "$UNITS/provision-ttl.timer" || fail 'the timer is not set to an absolute time in UTC'
[ ! -e "$FAKE/first" ] || fail 'the timer of the first boot goes on'
tail -n 4 "$FAKE/calls" | grep -qx 'restart provision-ttl.timer' || fail 'the timer is not started'
before=$(cat "$UNITS"/provision-ttl.* "$T/host/var/lib/provision/expires")
ttl "$soon" >/dev/null
[ "$before" = "$(cat "$UNITS"/provision-ttl.* "$T/host/var/lib/provision/expires")" ] || fail 'the same end, set again, is another one'
fires; [ ! -s "$FAKE/calls" ] || fail 'it turns off before its end'
grep -q '^not yet: it ends ' "$T/fired" || fail "before its end it says $(cat "$T/fired")"
# Another end counts at once, also for a timer that has fired already.
echo $((soon - 3600 - 1)) >"$T/host/var/lib/provision/expires"
fires; [ "$(cat "$FAKE/calls")" = '--no-block poweroff' ] || fail "at its end it calls $(cat "$FAKE/calls")"
[ -s "$FAKE/told" ] || fail 'nobody who is logged in is told'
echo tomorrow >"$T/host/var/lib/provision/expires"
if fires 2>/dev/null; then fail 'a time that is none was taken'; fi
[ ! -s "$FAKE/calls" ] || fail 'a time that is none turns it off'
for bad in '' -1 8h '1 2'; do
  rc=0; ttl "$bad" 2>/dev/null >&2 || rc=$?
  [ "$rc" = 64 ] || fail "the end '$bad' was taken"
done
if command -v systemd-analyze >/dev/null; then
  ttl "$soon" >/dev/null
  install -D "$T/host/usr/local/lib/provision/ttl" "$T/verify/ttl"
  sed "s|/usr/local/lib/provision/ttl|$T/verify/ttl|" "$UNITS/provision-ttl.service" >"$T/verify/provision-ttl.service"
  cp "$UNITS/provision-ttl.timer" "$T/verify/"
  systemd-analyze verify --man=no "$T/verify/provision-ttl.timer" "$T/verify/provision-ttl.service" 2>"$T/err" ||
    { cat "$T/err"; fail 'systemd-analyze verify'; }
  ok 'the units of the end are units'
else
  echo 'skipped  systemd-analyze verify: it is not installed'
fi
ttl never >/dev/null
[ -z "$(find "$T/host" -name '*ttl*' -o -name expires)" ] || fail 'something of the end is left'
ttl never >/dev/null
unset PROVISION_HOST_ROOT FAKE
ok 'the end of the time to live'

# --- receive, activate, restore
# release DIR: a manifest of what is in DIR.
manifest() { (cd "$1" && rm -f .manifest && find . -type f -printf '%P\n' | sort | while IFS= read -r p; do
  printf '%s  0%s  %s\n' "$(sha256sum <"$p" | cut -c1-64)" "$(stat -c %a "$p")" "$p"; done >../m && mv ../m .manifest); }
send() { manifest "$1"; tar -C "$1" -czf - . | sh -c "$(cat "$HOST/receive-stack.sh")" receive app "$2" 4096; }
activate() { sh -s -- app "$1" <"$HOST/activate-stack.sh"; }
tree() { (cd "$1" && find . -type f ! -name .manifest ! -name .digest -printf '%m %P ' -exec sh -c 'sha256sum <"$1" | cut -c1-8' _ {} \; | sort); }
LIVE=$PROVISION_ROOT/stacks/app

mkdir -p "$T/a/conf" "$T/a/gone" "$T/b/conf" "$T/b/swap"
echo one >"$T/a/compose.yaml"; echo same >"$T/a/conf/same"; echo old >"$T/a/conf/changed"; echo x >"$T/a/gone/file"; echo f >"$T/a/swap"
echo secret >"$T/a/.env"; chmod 600 "$T/a/.env"; echo 'back\slash "quote" é' >"$T/a/odd \\ \"name\""
cp -a "$T/a/compose.yaml" "$T/a/.env" "$T/b/"; cp -a "$T/a/conf/same" "$T/b/conf/"; echo new >"$T/b/conf/changed"; echo d >"$T/b/swap/inside"
send "$T/a" aaaa
[ ! -e "$LIVE" ] || fail 'receive-stack.sh touched the live folder'
activate aaaa
[ "$(tree "$T/a")" = "$(tree "$LIVE")" ] || fail 'the first release differs from what was sent'
mkdir "$LIVE/data"; echo precious >"$LIVE/data/row"; echo precious >"$LIVE/gone/foreign"
inode=$(stat -c %i "$LIVE/conf/same") folder=$(stat -c %i "$LIVE/conf")
send "$T/b" bbbb; activate bbbb
[ "$(cat "$LIVE/conf/changed" "$LIVE/swap/inside")" = "$(printf 'new\nd')" ] || fail 'the second release is not in place'
[ "$inode $folder" = "$(stat -c %i "$LIVE/conf/same") $(stat -c %i "$LIVE/conf")" ] || fail 'an unchanged file or folder got another inode'
[ "$(cat "$LIVE/data/row" "$LIVE/gone/foreign")" = "$(printf 'precious\nprecious')" ] || fail 'a foreign file was touched'
[ ! -e "$LIVE/gone/file" ] || fail 'a file of the release before was left'
[ "$(tree "$PROVISION_ROOT/releases/app/aaaa")" = "$(tree "$T/a")" ] || fail 'the release before was not kept whole'
activate bbbb || fail 'activating twice'
echo edited >"$LIVE/conf/changed"; send "$T/b" bbbb; activate bbbb
[ "$(cat "$LIVE/conf/changed")" = new ] || fail 'an edited file was not repaired'
sh -s -- app aaaa <"$HOST/restore-stack.sh"; activate aaaa
rm -rf "$LIVE/data" "$LIVE/gone/foreign"
[ "$(tree "$T/a")" = "$(tree "$LIVE")" ] || fail 'the way back differs from the first release'
ok 'receive, activate, restore'

echo tampered >"$T/b/conf/changed"
(cd "$T/b" && tar -czf - .) | sh -c "$(cat "$HOST/receive-stack.sh")" receive app cccc 4096 2>/dev/null && fail 'a file that differs from the manifest was taken'
send "$T/b" bbbb
tar -C "$T/b" -czf - . | head -c 200 | sh -c "$(cat "$HOST/receive-stack.sh")" receive app cccc 4096 2>/dev/null && fail 'a cut upload was taken'
rc=0; sh -c "$(cat "$HOST/receive-stack.sh")" receive app cccc 999999999999999 </dev/null 2>"$T/err" || rc=$?
[ "$rc" = 28 ] || fail "disk full: exit $rc"
grep -q '^error: disk full: needs .* free on /' "$T/err" || fail "disk full says: $(cat "$T/err")"
for name in ../up 'a b' -x App; do
  rc=0; sh -s -- "$name" aaaa <"$HOST/activate-stack.sh" 2>/dev/null || rc=$?
  [ "$rc" = 64 ] || fail "the stack name '$name' was taken"
done
ok 'bad uploads, a full disk and bad names are refused'

# Killed anywhere, the next run ends at the same place and the release before is whole.
echo new >"$T/b/conf/changed"
kills=0
for delay in $(seq 1 12); do
  for pair in 'b bbbb a aaaa' 'a aaaa b bbbb'; do
    # shellcheck disable=SC2086 # four words
    set -- $pair
    send "$T/$1" "$2"
    setsid sh -s -- app "$2" <"$HOST/activate-stack.sh" 2>/dev/null & pid=$!
    sleep "$(awk -v d="$delay" 'BEGIN { print d * 0.012 }')"
    kill -9 "-$pid" 2>/dev/null && kills=$((kills + 1))
    wait "$pid" 2>/dev/null || true
    activate "$2" || fail "activate after a kill at ${delay}x12 ms"
    [ "$(tree "$T/$1")" = "$(tree "$LIVE")" ] || fail "another result after a kill at ${delay}x12 ms"
    [ "$(tree "$PROVISION_ROOT/releases/app/$4")" = "$(tree "$T/$3")" ] || fail "a broken kept release after a kill at ${delay}x12 ms"
  done
done
ok "activate converges after $kills kills"

# --- the host's lease
export PROVISION_RUN="$T/run" PROVISION_LASTING="$T/lasting"
lease() { sh -s -- "$@" <"$HOST/lease.sh"; }
# is WHAT ANSWER: the answer begins so.
is() { case $2 in "$1"*) ;; *) fail "the lease answers $2 in place of $1" ;; esac; }
ann='{"who":"ann@a"}' bob='{"who":"bob \u0027 \"b\""}'
is '{"ours":false,"lease":null,"owner":null}' "$(lease show)"
is '{"ours":true,"lease":{"token":"aa","seconds":60,"holder":{"who":"ann@a"}},"owner":"11"}' "$(lease take aa 60 11 "$ann")"
is '{"ours":true,' "$(lease take aa 60 11 "$ann")"
is '{"ours":false,"lease":{"token":"aa"' "$(lease take bb 60 11 "$bob")"
is '{"ours":false,' "$(lease take bb 60 11 "$bob" cc)"
is '{"ours":false,' "$(lease renew bb 60)"
is '{"ours":false,' "$(lease release bb)"
is '{"ours":false,' "$(lease break bb)"
is '{"ours":true,"lease":{"token":"bb"' "$(lease take bb 60 11 "$bob" aa)"
is '{"ours":false,"lease":{"token":"bb"' "$(lease renew aa 60)"
is '{"ours":true,"lease":null' "$(lease break bb)"
is '{"ours":false,"lease":null,"owner":"11"}' "$(lease take aa 60 22 "$ann")"
is '{"ours":false,' "$(lease own 33 22)"
is '{"ours":true,"lease":null,"owner":"22"}' "$(lease own 11 22)"
is '{"ours":true,"lease":{"token":"aa"' "$(lease take aa 60 22 "$ann")"
is '{"ours":true,"lease":null' "$(lease release aa)"
# Its end is past by the host's own count, and until somebody takes it, it can be renewed.
is '{"ours":true,' "$(lease take aa 1 22 "$ann")"; sleep 2.1
is '{"ours":false,"lease":null' "$(lease show)"
is '{"ours":true,"lease":{"token":"aa"' "$(lease renew aa 1)"; sleep 2.1
is '{"ours":true,"lease":{"token":"bb"' "$(lease take bb 60 22 "$bob")"
is '{"ours":false,' "$(lease renew aa 60)"
# What a power cut left of it is nobody's.
printf 'bb\n' >"$T/run/lease"
is '{"ours":true,"lease":{"token":"aa"' "$(lease take aa 60 22 "$ann")"
lease release aa >"$T/answer"
for words in 'take AA 60 22 {}' 'take aa 1m 22 {}' 'take aa 60 x {}' 'take aa 60 22 holder' 'renew aa' 'steal aa' ''; do
  rc=0
  # shellcheck disable=SC2086 # words
  lease $words 2>"$T/err" || rc=$?
  [ "$rc" = 64 ] || fail "the lease took '$words': exit $rc"
done
# Two at once: one has it, also where both may displace a dead one.
wins=0
for round in $(seq 1 40); do
  instead=''
  if [ $((round % 2)) = 0 ]; then instead='dd'; lease take dd 60 22 "$ann" >"$T/answer"; fi
  for who in aa bb cc; do lease take $who 60 22 "$ann" "$instead" >"$T/answer-$who" & done
  wait
  [ "$(cat "$T"/answer-?? | grep -c '"ours":true')" = 1 ] || { cat "$T"/answer-??; fail "round $round of the lease"; }
  winner=$(lease show | sed 's/.*"token":"\(..\)".*/\1/')
  grep -q '"ours":true' "$T/answer-$winner" || fail "round $round: the lease is not the winner's"
  lease break "$winner" >"$T/answer"; wins=$((wins + 1))
done
ok "of three at once one has the lease, $wins times"

# --- host key
PROVISION_HOST_KEY=$T/hostkey; export PROVISION_HOST_KEY
ssh-keygen -q -t ed25519 -N '' -f "$T/hostkey"
first=$(sh -s prepare <"$HOST/rotate-host-key.sh")
[ "$first" = "$(sh -s prepare <"$HOST/rotate-host-key.sh")" ] || fail 'prepare made another key the second time'
ok 'rotate-host-key.sh prepare'

tests/scripts/hosts.sh

echo 'all well'
