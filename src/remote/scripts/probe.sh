#!/bin/sh
# probe.sh: reads what is on the host and prints it as ONE JSON object. Changes nothing.
# usage: sudo sh -s <probe.sh
# `files` are those named by the stacks' own manifests: data folders are neither ours nor small.
# What is compared with an earlier look (digests, rules, settings, ids) is the same after a reboot and after a restart of
# docker: no counters, no handles, nothing of the chains that docker writes itself.
# Needs no docker, no cloud-init and nothing of ours; what is missing is null, false or empty.
# A process costs tens of milliseconds under emulation, so commands only leave their raw output in $T and
# one awk makes JSON of all of it.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
NEWLINE='
'

# cloud-init's command starts Python; while it runs and after a clean boot its files say the same.
cloud_init() {
  [ -x /usr/bin/cloud-init ] || return 0
  if [ -e /run/cloud-init/disabled ]; then echo '{"status":"disabled","errors":[]}'
  elif [ ! -e /run/cloud-init/result.json ]; then echo '{"status":"running","errors":[]}'
  elif ! grep -Eqs '"(errors|recoverable_errors)": *[[{] *$' /run/cloud-init/result.json /run/cloud-init/status.json; then
    echo '{"status":"done","errors":[]}'
  else cloud-init status --format json
  fi
}

containers() {
  # Also the answer to "does the daemon answer".
  docker ps --all --quiet --no-trunc >"$T/ids" || return 0
  : >"$T/docker"
  ids=; while read -r id; do ids="$ids $id"; done <"$T/ids"
  [ -n "$ids" ] || return 0
  # A container that vanished meanwhile is left out of the answer.
  # Not one field that the typed answer lacks (.ID, not .Id): docker would go over to raw maps, where a missing key
  # is an error.
  # shellcheck disable=SC2016,SC2086 # the dollars are the template's; ids are words
  docker inspect --type container --format '{"name":{{json (slice .Name 1)}},"id":{{json .ID}},"image":{{json .Image}},"image_ref":{{json .Config.Image}},"project":{{json (index .Config.Labels "com.docker.compose.project")}},"service":{{json (index .Config.Labels "com.docker.compose.service")}},"labels":{ {{- $sep := "" -}}{{- range $k, $v := .Config.Labels -}}{{- if eq (truncate $k 9) "provision" -}}{{- $sep -}}{{- json $k -}}:{{- json $v -}}{{- $sep = "," -}}{{- end -}}{{- end -}} },"state":{{json .State.Status}},"health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}},"started_at":{{json .State.StartedAt}},"restart_count":{{json .RestartCount}},"exit_code":{{json .State.ExitCode}},"oneoff":{{if eq (index .Config.Labels "com.docker.compose.oneoff") "True"}}true{{else}}false{{end}},"restart":{{json .HostConfig.RestartPolicy.Name}},"config":{{json (index .Config.Labels "com.docker.compose.config-hash")}},"ports":[{{- $sep = "" -}}{{- range $port, $to := .HostConfig.PortBindings -}}{{- range $to -}}{{- $ip := printf "%v" .HostIP -}}{{- $sep -}}"{{if or (eq $ip "") (eq $ip "invalid IP")}}*{{else}}{{$ip}}{{end}}:{{.HostPort}}->{{$port}}"{{- $sep = "," -}}{{- end -}}{{- end -}}]}' $ids
}
images() { docker images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}'; }
networks() { docker network ls --format '{{.Name}} {{.ID}} {{.Label "provision"}}'; }

# While the host starts, docker's socket takes questions that its daemon answers minutes later.
docker_is_up() {
  read -r system <"$T/system" || return 0
  case $system in initializing | starting) systemctl -q is-active docker.service 2>/dev/null ;; esac
}

data_root() {
  root=/var/lib/docker
  [ ! -r /etc/docker/daemon.json ] || while read -r line; do
    case $line in *'"data-root"'*) line=${line#*'"data-root"'}; line=${line#*\"}; root=${line%%\"*} ;; esac
  done </etc/docker/daemon.json
}
# Those of the local driver; asking docker costs another start of its client.
volumes() { for v in "$root"/volumes/*/; do v=${v%/}; [ ! -d "$v" ] || printf '%s\n' "${v##*/}"; done; }

# Files of the stacks and of the base, in one go. A name cannot hold a newline: manifests are lines.
files() {
  set -- /opt/provision/stacks/*/.manifest
  list='/etc/ssh/sshd_config.d/00-provision.conf
/etc/docker/daemon.json
/usr/local/lib/provision/firewall
/home/deploy/.ssh/authorized_keys
/etc/sudoers.d/90-provision
/etc/systemd/system/provision-firewall.service
/etc/systemd/system/docker.service.d/provision.conf
/etc/apt/apt.conf.d/52provision
/etc/systemd/journald.conf.d/provision.conf'
  # On a host that was there before, the others of these are somebody else's.
  [ ! -e /var/lib/provision/existing ] || list='/etc/ssh/sshd_config.d/00-provision.conf
/usr/local/lib/provision/firewall
/etc/systemd/system/provision-firewall.service
/etc/systemd/system/docker.service.d/provision.conf'
  [ ! -r "$1" ] || list=$list$NEWLINE$(awk -v placed="$T/placed" '
    FNR == 1 { d = FILENAME; print d; sub(/\.manifest$/, "", d) }
    { digest = $1; mode = $2; sub(/^[0-9a-f]+  [0-7]+  /, ""); print digest, mode, d $0 >placed; print d $0 }' "$@")
  set -f; IFS=$NEWLINE
  # shellcheck disable=SC2086 # split at newlines, and there only
  { stat --printf '%a %U:%G %Y %n\n' $list >"$T/stat"; sha256sum $list >"$T/sums"; }
  set +f; unset IFS
}

# shellcheck disable=SC2016 # awk's dollars
JSON='
function json(s,  out, i, n, c, k, m, x, ok) {
  if (s !~ /[^ !#-\[\]-~]/) return "\"" s "\""
  # What is not UTF-8 becomes U+FFFD.
  if (!(" " in ORD)) for (i = 1; i < 256; i++) ORD[sprintf("%c", i)] = i
  n = length(s); out = ""
  for (i = 1; i <= n; i++) {
    c = substr(s, i, 1); k = ORD[c]
    if (c == "\"" || c == "\\") out = out "\\" c
    else if (k >= 32 && k < 127) out = out c
    else if (c == "\n") out = out "\\n"
    else if (c == "\t") out = out "\\t"
    else if (k < 128) out = out sprintf("\\u%04x", k)
    else {
      m = k >= 240 && k <= 244 ? 3 : k >= 224 && k < 240 ? 2 : k >= 194 && k < 224 ? 1 : 0
      ok = m > 0
      for (x = 1; x <= m && ok; x++) { c = ORD[substr(s, i + x, 1)]; ok = c >= 128 && c <= 191 }
      # Overlong forms, surrogates, and beyond U+10FFFF.
      c = ORD[substr(s, i + 1, 1)]
      if (ok && (k == 224 && c < 160 || k == 237 && c > 159 || k == 240 && c < 144 || k == 244 && c > 143)) ok = 0
      if (ok) { out = out substr(s, i, m + 1); i += m } else out = out "\357\277\275"
    }
  }
  return "\"" out "\""
}
function exists(file,  l, r) { r = (getline l < file); close(file); return r >= 0 }
function slurp(file,  l, t, n) { while ((getline l < file) > 0) t = t (n++ ? "\n" : "") l; close(file); return t }
function text(file,  t) { t = slurp(file); return t == "" ? "null" : json(t) }
function number(file,  t) { t = slurp(file); return t ~ /^[0-9]+$/ ? t : "null" }
function raw(file,  t) { t = slurp(file); return t == "" ? "null" : t }
function list(file, quoted,  l, t) {
  while ((getline l < file) > 0) t = t (t == "" ? "" : ",") (quoted ? json(l) : l)
  close(file); return "[" t "]"
}
function digest(path) { return path in sum ? "\"" sum[path] "\"" : "null" }
# All that is known of a file: s is the split line of stat.
function described(p, s) {
  return json(p) ":{\"sha256\":\"" sum[p] "\",\"mode\":\"" sprintf("%04d", s[1]) "\",\"owner\":" json(s[2]) ",\"modified\":" s[3] \
    (p in placed ? ",\"placed\":\"" placed[p] "\",\"placed_mode\":\"" sprintf("%04d", mode[p]) "\"" : "") "}"
}
function files(  l, p, t) {
  while ((getline l < (T "/sums")) > 0) {
    # sha256sum marks a line whose name it had to escape.
    if (sub(/^\\/, "", l)) { p = substr(l, 67); gsub(/\\\\/, "\001", p); gsub(/\\r/, "\r", p); gsub(/\001/, "\\", p) } else p = substr(l, 67)
    sum[p] = substr(l, 1, 64)
  }
  while ((getline l < (T "/placed")) > 0) {
    split(l, f, " "); p = substr(l, length(f[1]) + length(f[2]) + 3)
    placed[p] = f[1]; mode[p] = f[2]
  }
  while ((getline l < (T "/stat")) > 0) {
    split(l, f, " "); p = substr(l, length(f[1]) + length(f[2]) + length(f[3]) + 4)
    if (!(p in sum)) continue
    if (p ~ /^\/opt\/provision\/stacks\/[^\/]+\/\.manifest$/) {
      l = p; sub(/^\/opt\/provision\/stacks\//, "", l); sub(/\/\.manifest$/, "", l)
      RELEASES = RELEASES (RELEASES == "" ? "" : ",") json(l) ":\"" sum[p] "\""
    } else if (p ~ /^\/opt\/provision\/stacks\//) t = t (t == "" ? "" : ",") described(p, f)
    # The others of these have fields of their own.
    else if (p !~ /00-provision\.conf$|daemon\.json$|\/firewall$/) BASE = BASE (BASE == "" ? "" : ",") described(p, f)
  }
  return "{" t "}"
}
function firewall(  l, forward, jump, drop) {
  while ((getline l < (T "/iptables")) > 0) {
    if (l == "-A FORWARD -j DOCKER-USER") forward = 1
    if (l == "-A DOCKER-USER -j PROVISION-DOCKER") jump = 1
    if (l ~ /^-A PROVISION-DOCKER .*-j DROP$/) drop++
    # Where the rules are for our own network alone.
    if (l == "-A PROVISION-DOCKER -j DROP") drop = 3
  }
  close(T "/iptables")
  return slurp(T "/nft") ~ /policy drop|iifname "br-provision" drop/ && forward && jump && drop >= 3 ? "true" : "false"
}
# What lets in what: our own chains, and whatever stands before them where they are called. That they are called at all
# is for firewall() to say.
function before(file,  l, at, t, n) {
  while ((getline l < file) > 0) {
    if (l ~ /^-A FORWARD /) { if (l == "-A FORWARD -j DOCKER-USER") { t = t at["F"]; n = 1 } else if (!n) at["F"] = at["F"] l "\n" }
    if (l ~ /^-A DOCKER-USER /) { if (l == "-A DOCKER-USER -j PROVISION-DOCKER") { t = t at["U"]; at["done"] = 1 } else if (!at["done"]) at["U"] = at["U"] l "\n" }
    if (l ~ /^-A PROVISION-DOCKER /) t = t l "\n"
  }
  close(file); return t
}
function rules(  l, t, six) {
  while ((getline l < (T "/nft")) > 0) { sub(/^[ \t]+/, "", l); if (l != "" && l != "}") t = t l "\n" }
  t = t before(T "/iptables"); six = before(T "/ip6tables"); gsub(/-A /, "-6 -A ", six)
  return t six == "" ? "null" : json(t six)
}
# Nothing here opens what ours close: a packet passes every table. Those of docker, iptables and fail2ban come and go.
function foreign(  l, n, t, v, file) {
  for (v = 4; v <= 6; v += 2) {
    file = T (v == 4 ? "/iptables" : "/ip6tables")
    while ((getline l < file) > 0) {
      n++
      if (l ~ /^-A INPUT / && l !~ / -j f2b-/ || l ~ /^-P INPUT / && l !~ / ACCEPT$/) t = t (v == 6 ? "-6 " : "") l "\n"
    }
    close(file)
  }
  while ((getline l < (T "/tables")) > 0) {
    n++
    if (l !~ /^table (inet provision|ip6? (filter|nat|mangle|raw|security|docker-bridges)|(inet|ip6?) f2b-.*)$/) t = t l "\n"
  }
  return n ? json(t) : "null"
}
function sshd(  l, f, t) {
  while ((getline l < (T "/sshd")) > 0) {
    split(l, f, " ")
    if (f[1] ~ /^(port|permitrootlogin|usepam|(password|kbdinteractive|pubkey|hostbased|gssapi)authentication|permitemptypasswords|authenticationmethods|authorized(keysfile|keyscommand|principalsfile|principalscommand)|trustedusercakeys|(allow|deny)(users|groups))$/)
      t = t l "\n"
  }
  return t == "" ? "null" : json(t)
}
function networks(own,  l, f, t) {
  while ((getline l < (T "/networks")) > 0) {
    split(l, f, " ")
    if (!own) t = t (t == "" ? "" : ",") json(f[1])
    else if (f[3] == "1") t = t (t == "" ? "" : ",") json(f[1]) ":" json(f[2])
  }
  close(T "/networks"); return t
}
function images(  l, f, n, i, order, tags, t) {
  while ((getline l < (T "/images")) > 0) {
    split(l, f, " ")
    if (!(f[1] in tags)) { order[++n] = f[1]; tags[f[1]] = "" }
    if (f[2] !~ /<none>/) tags[f[1]] = tags[f[1]] (tags[f[1]] == "" ? "" : ",") json(f[2])
  }
  for (i = 1; i <= n; i++) t = t (i > 1 ? "," : "") "{\"id\":" json(order[i]) ",\"tags\":[" tags[order[i]] "]}"
  return "[" t "]"
}
function listeners(  l, f, at, port, process, t) {
  while ((getline l < (T "/ss")) > 0) {
    split(l, f, " "); at = port = f[5]; process = "null"
    sub(/.*:/, "", port); sub(/:[^:]*$/, "", at); sub(/%.*/, "", at); gsub(/[][]/, "", at)
    if (match(l, /users:\(\("/)) { process = substr(l, RSTART + 9); sub(/",pid=.*/, "", process); process = json(process) }
    t = t (t == "" ? "" : ",") "{\"proto\":" json(f[1]) ",\"address\":" json(at) ",\"port\":" (port + 0) ",\"process\":" process "}"
  }
  return "[" t "]"
}
function disk(  l, f, seen, t) {
  while ((getline l < (T "/df")) > 0) {
    split(l, f, " ")
    if (f[1] !~ /^\// || f[1] in seen) continue
    seen[f[1]] = 1
    t = t (t == "" ? "" : ",") "{\"mount\":" json(f[1]) ",\"total_bytes\":" f[2] ",\"free_bytes\":" f[3] "}"
  }
  return "[" t "]"
}
function memory(  l, f, total, free) {
  while ((getline l < "/proc/meminfo") > 0) {
    split(l, f, " ")
    if (f[1] == "MemTotal:") total = f[2]
    if (f[1] == "MemAvailable:") free = f[2]
  }
  return sprintf("{\"total_bytes\":%.0f,\"available_bytes\":%.0f}", total * 1024, free * 1024)
}
function os_release(key,  l, v) {
  while ((getline l < "/etc/os-release") > 0) if (index(l, key "=") == 1) { v = substr(l, length(key) + 2); gsub(/["\047]/, "", v) }
  close("/etc/os-release"); return json(v)
}
function host_key(  t) { t = text("/etc/ssh/ssh_host_ed25519_key.pub"); return t == "null" ? text(T "/host_key") : t }
BEGIN {
  all = files(); daemon = exists(T "/docker") ? "true" : "false"
  split(slurp("/proc/uptime"), up, ".")
  print "{\"probe\":1,\"boot_id\":" text("/proc/sys/kernel/random/boot_id")
  print ",\"os\":{\"id\":" os_release("ID") ",\"version\":" os_release("VERSION_ID") ",\"arch\":" json(arch) ",\"kernel\":" text("/proc/sys/kernel/osrelease") "}"
  print ",\"hostname\":" text("/proc/sys/kernel/hostname") ",\"clock\":" clock ",\"cloud_init\":" raw(T "/cloud_init")
  print ",\"owner\":" text("/var/lib/provision/owner")
  print ",\"converged\":" text("/var/lib/provision/converged") ",\"converge_failed\":" text("/var/lib/provision/converge/failed") ",\"expires\":" number(T "/expires")
  print ",\"base\":{\"sshd\":" digest("/etc/ssh/sshd_config.d/00-provision.conf") ",\"daemon_json\":" digest("/etc/docker/daemon.json")
  print ",\"firewall_script\":" digest("/usr/local/lib/provision/firewall") ",\"firewall_live\":" firewall() ",\"docker\":" daemon
  print ",\"firewall_rules\":" rules() ",\"foreign_rules\":" foreign() ",\"sshd_settings\":" sshd() ",\"files\":{" BASE "}}"
  print ",\"host_key\":" host_key() ",\"files\":" all ",\"releases\":{" RELEASES "}"
  print ",\"containers\":" list(T "/containers", 0) ",\"images\":" images()
  print ",\"networks\":[" networks(0) "],\"own_networks\":{" networks(1) "}"
  print ",\"volumes\":" list(T "/volumes", 1)
  print ",\"listeners\":" listeners() ",\"disk\":" disk() ",\"memory\":" memory() ",\"uptime_seconds\":" (up[1] + 0)
  print ",\"starting\":" (slurp(T "/system") ~ /^(initializing|starting)$/ ? "true" : "false") "}"
}'

main() {
  exec </dev/null
  T=$(mktemp -d /run/provision-probe.XXXXXX) || exit 1
  trap 'rm -rf "$T"' EXIT
  systemctl is-system-running >"$T/system" 2>/dev/null
  # Docker's client is the slow one: side by side with the rest.
  if command -v docker >/dev/null && docker_is_up; then
    containers >"$T/containers" 2>"$T/complaints" &
    images >"$T/images" 2>/dev/null &
    networks >"$T/networks" 2>/dev/null &
  fi
  {
    data_root
    cloud_init >"$T/cloud_init"
    volumes >"$T/volumes"
    files
    nft --stateless list table inet provision >"$T/nft"
    nft list tables >"$T/tables"
    iptables -w 10 -S >"$T/iptables"
    ip6tables -w 10 -S >"$T/ip6tables"
    # As root: also what holds for root alone counts.
    sshd -T -C user=root,host=provision,addr=192.0.2.1 >"$T/sshd"
    ss -H -tulnp >"$T/ss"
    [ ! -s /var/lib/provision/expires ] || ! systemctl -q is-active provision-ttl.timer || cat /var/lib/provision/expires >"$T/expires"
    df -B1 --output=target,size,avail / /data "$root" >"$T/df"
    [ -r /etc/ssh/ssh_host_ed25519_key.pub ] || [ ! -r /etc/ssh/ssh_host_ed25519_key ] ||
      ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key >"$T/host_key"
    arch=$(uname -m)
  } 2>/dev/null
  wait
  # "No container of ours" and "docker did not understand the question" must not look the same.
  [ ! -e "$T/complaints" ] || while read -r line; do
    case $line in *template*) echo "error: docker inspect: $line" >&2; exit 70 ;; esac
  done <"$T/complaints"
  awk -v T="$T" -v arch="$arch" -v clock="$(date +%s)" "$JSON"
}

main
