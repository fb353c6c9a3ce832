#!/bin/sh
# audit: prints as JSON what keeps this host private, and writes nothing: audit SALT [updates]
#
# Listening sockets, the rules that decide what gets in, running containers and what they may, what sshd makes of all its files.
# With `updates` also the security updates that wait; that takes seconds.
# The value of a variable is never printed: only a digest of SALT and the value as Docker writes it in JSON, and one of the
# password where the value is a URL with one. Whoever asks has made SALT up for this one question.
# Raw output goes to $T, and one awk makes JSON of all of it.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

# A line `C {…}` for each container, and after it a line `E "NAME=value"` for each of its variables.
containers() {
  docker ps --quiet --no-trunc >"$T/ids" || return 0
  : >"$T/docker"
  ids=; while read -r id; do ids="$ids $id"; done <"$T/ids"
  [ -n "$ids" ] || return 0
  # shellcheck disable=SC2016,SC2086 # the dollars are the template's; ids are words
  docker inspect --type container --format 'C {"name":{{json (slice .Name 1)}},"project":{{json (index .Config.Labels "com.docker.compose.project")}},"service":{{json (index .Config.Labels "com.docker.compose.service")}},"image":{{json .Config.Image}},"user":{{json .Config.User}},"privileged":{{json .HostConfig.Privileged}},"network_mode":{{json .HostConfig.NetworkMode}},"pid_mode":{{json .HostConfig.PidMode}},"cap_add":{{json .HostConfig.CapAdd}},"devices":{{json .HostConfig.Devices}},"device_rules":{{json .HostConfig.DeviceCgroupRules}},"mounts":{{json .Mounts}},"ports":{{json .NetworkSettings.Ports}}{{range .Config.Env}}{{println}}E {{json .}}{{end}}' $ids
}

# What apt would install from a security archive, by the lists that it has.
updates() {
  apt-get --simulate -o Debug::NoLocking=true -o APT::Get::Show-User-Simulation-Note=false dist-upgrade >"$T/upgrade" || return 0
  : >"$T/updates"
  stat -c %Y /var/lib/apt/lists >"$T/listed"
}

# shellcheck disable=SC2016 # awk's dollars
JSON='
function json(s) {
  gsub(/\\/, "\\\\\\\\", s); gsub(/"/, "\\\"", s); gsub(/\t/, "\\t", s); gsub(/\n/, "\\n", s); gsub(/[^ -~]/, "?", s)
  return "\"" s "\""
}
function exists(file,  l, r) { r = (getline l < file); close(file); return r >= 0 }
function slurp(file,  l, t, n) { while ((getline l < file) > 0) t = t (n++ ? "\n" : "") l; close(file); return t }
function text(file,  t) { t = slurp(file); return t == "" ? "null" : json(t) }
function number(file,  t) { t = slurp(file); return t ~ /^[0-9]+$/ ? t : "null" }
function listeners(  l, f, at, port, process, t) {
  while ((getline l < (T "/ss")) > 0) {
    split(l, f, " "); at = port = f[5]; process = "null"
    sub(/.*:/, "", port); sub(/:[^:]*$/, "", at); sub(/%.*/, "", at); gsub(/[][]/, "", at)
    if (match(l, /users:\(\("/)) { process = substr(l, RSTART + 9); sub(/",pid=.*/, "", process); process = json(process) }
    t = t (t == "" ? "" : ",") "{\"proto\":" json(f[1]) ",\"address\":" json(at) ",\"port\":" (port + 0) ",\"process\":" process "}"
  }
  return "[" t "]"
}
function digest(n) { return n in sum ? "\"" sum[n] "\"" : "null" }
function containers(  l, n, name, env, t) {
  while ((getline l < (T "/sums")) > 0) { name = substr(l, 67); sub(/.*\//, "", name); sum[name] = substr(l, 1, 64) }
  while ((getline l < (T "/containers")) > 0) {
    if (l ~ /^C /) {
      if (t != "") t = t env "]},"
      t = t substr(l, 3) ",\"env\":["; env = ""
    } else if (l ~ /^E /) {
      n++; name = substr(l, 4); sub(/=.*/, "", name); sub(/"$/, "", name)
      env = env (env == "" ? "" : ",") "{\"name\":" json(name) ",\"value\":" digest(n) ",\"password\":" digest(n "p") "}"
    }
  }
  return "[" (t == "" ? "" : t env "]}") "]"
}
function updates(  l, t, others) {
  if (!exists(T "/updates")) return "null"
  while ((getline l < (T "/upgrade")) > 0) if (l ~ /^Inst /) {
    if (tolower(l) ~ /\(.*security/) { sub(/^Inst /, "", l); sub(/ .*/, "", l); t = t (t == "" ? "" : ",") json(l) } else others++
  }
  return "{\"security\":[" t "],\"others\":" (others + 0) ",\"listed\":" number(T "/listed") "}"
}
BEGIN {
  print "{\"audit\":1,\"clock\":" clock ",\"ipv6\":" (exists("/proc/net/if_inet6") ? "true" : "false")
  print ",\"listeners\":" listeners() ",\"nft\":" text(T "/nft") ",\"iptables\":" text(T "/iptables") ",\"ip6tables\":" text(T "/ip6tables")
  print ",\"sshd\":{\"root\":" text(T "/sshd.root") ",\"login\":" text(T "/sshd.login") "}"
  print ",\"docker\":" (exists(T "/docker") ? "true" : "false") ",\"containers\":" containers()
  print ",\"updates\":" updates() ",\"reboot\":" (exists("/run/reboot-required") ? "true" : "false") "}"
}'

# Each value behind the salt in a file of its own, for one sha256sum to read: `N`, and `Np` for the password in a URL.
# shellcheck disable=SC2016 # awk's dollars
VALUES='
/^E / {
  n++; value = substr($0, 4); if (!sub(/^[^=]*=/, "", value)) next
  sub(/"$/, "", value); if (value == "") next
  printf "%s%s", salt, value >(T "/values/" n); close(T "/values/" n)
  if (match(value, /:\/\/[^:@\/]*:[^@\/]+@/)) {
    value = substr(value, RSTART, RLENGTH - 1); sub(/^:\/\/[^:]*:/, "", value)
    printf "%s%s", salt, value >(T "/values/" n "p"); close(T "/values/" n "p")
  }
}'

main() {
  salt=$1; shift
  exec </dev/null
  T=$(mktemp -d /run/provision-audit.XXXXXX) || exit 1
  trap 'rm -rf "$T"' EXIT
  mkdir "$T/values"
  if command -v docker >/dev/null; then containers >"$T/containers" 2>"$T/complaints" & fi
  {
    [ "${1:-}" != updates ] || ! command -v apt-get >/dev/null || updates
    nft --stateless list table inet provision >"$T/nft"
    iptables -w 10 -S >"$T/iptables"
    ip6tables -w 10 -S >"$T/ip6tables"
    sshd -T -C user=root,host=provision,addr=192.0.2.1 >"$T/sshd.root"
    sshd -T -C "user=${SUDO_USER:-root},host=provision,addr=192.0.2.1" >"$T/sshd.login"
    ss -H -tulnp >"$T/ss"
  } 2>/dev/null
  wait
  # "No container" and "docker did not understand the question" must not look the same.
  [ ! -e "$T/complaints" ] || while read -r line; do
    case $line in *template*) echo "error: docker inspect: $line" >&2; exit 70 ;; esac
  done <"$T/complaints"
  if [ -s "$T/containers" ]; then
    awk -v T="$T" -v salt="$salt" "$VALUES" "$T/containers"
    (cd "$T/values" && set -- * && [ -e "$1" ] && sha256sum "$@" >"$T/sums")
  fi
  awk -v T="$T" -v clock="$(date +%s)" "$JSON"
}

main "$@"
