#!/bin/sh
# probe.sh: reads what is on the host and prints it as ONE JSON object. Changes nothing.
# usage: sudo sh -s <probe.sh
# `files` are those named by the stacks' own manifests: data folders are neither ours nor small.
# Needs no docker, no cloud-init and nothing of ours; what is missing is null, false or empty.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Awk for JSON strings out of arbitrary bytes: what is not UTF-8 becomes U+FFFD.
JSON_AWK='
function json_init(  i) { for (i = 1; i < 256; i++) ORD[sprintf("%c", i)] = i }
function json(s,  out, i, n, c, k, m, x, ok) {
  if (s !~ /[^ !#-\[\]-~]/) return "\"" s "\""
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
BEGIN { json_init() }
'
# All of stdin as one JSON string; null when there is nothing.
json_text() { awk "$JSON_AWK"'{ t = t (NR > 1 ? "\n" : "") $0 } END { if (NR) print json(t); else print "null" }'; }
# Each line of stdin as a string of a JSON array.
json_lines() { awk "$JSON_AWK"'{ printf "%s%s", (NR > 1 ? "," : "["), json($0) } END { print NR ? "]" : "[]" }'; }
json_file() { if [ -r "$1" ]; then json_text <"$1"; else echo null; fi; }
digest() { if [ -r "$1" ]; then echo "\"$(sha256sum "$1" | cut -c1-64)\""; else echo null; fi; }

# cloud-init's command starts Python; after a clean boot its files say the same.
cloud_init() {
  command -v cloud-init >/dev/null || { echo null; return; }
  if [ -e /run/cloud-init/disabled ]; then echo '{"status":"disabled","errors":[]}'
  elif [ ! -e /run/cloud-init/result.json ]; then echo '{"status":"running","errors":[]}'
  elif ! cat /run/cloud-init/result.json /run/cloud-init/status.json 2>/dev/null |
    grep -Eq '"(errors|recoverable_errors)": *[[{] *$'; then
    echo '{"status":"done","errors":[]}'
  else
    cloud-init status --format json 2>/dev/null || true
  fi </dev/null | awk '{ print; n++ } END { if (!n) print "null" }'
}

base_firewall() {
  nft list chain inet provision input 2>/dev/null | grep -q 'policy drop' || { echo false; return; }
  iptables -w 10 -S 2>/dev/null | awk '
    $0 == "-A FORWARD -j DOCKER-USER" { forward = 1 }
    $0 == "-A DOCKER-USER -j PROVISION-DOCKER" { jump = 1 }
    /^-A PROVISION-DOCKER .*-j DROP$/ { drop++ }
    END { print (forward && jump && drop >= 3 ? "true" : "false") }'
}

host_key() {
  if [ -r /etc/ssh/ssh_host_ed25519_key.pub ]; then cat /etc/ssh/ssh_host_ed25519_key.pub
  elif [ -r /etc/ssh/ssh_host_ed25519_key ]; then ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key </dev/null
  fi | json_text
}

# Newlines inside names travel as \001, so that one line stays one file.
files() {
  cd /opt/provision/stacks 2>/dev/null || { echo '{}'; return; }
  for m in */.manifest; do
    [ -r "$m" ] || continue
    awk -v stack="${m%/.manifest}" '{ sub(/^[0-9a-f]+  [0-7]+  /, ""); print "/opt/provision/stacks/" stack "/" $0 }' "$m"
  done | tr '\n' '\0' >"$T/list"
  [ -s "$T/list" ] || { echo '{}'; return; }
  xargs -0 stat --printf '%a %U:%G %n\0' <"$T/list" 2>/dev/null | tr '\n\0' '\001\n' >"$T/stat"
  xargs -0 sha256sum -z <"$T/list" 2>/dev/null | tr '\n\0' '\001\n' |
    awk "$JSON_AWK"'
      function name(s) { gsub(/\001/, "\n", s); return s }
      FNR == NR { p = $0; sub(/^[^ ]+ [^ ]+ /, "", p); mode[p] = $1; owner[p] = $2; next }
      { p = substr($0, 67); if (!(p in mode)) next
        printf "%s%s:{\"sha256\":\"%s\",\"mode\":\"%04d\",\"owner\":%s}", n++ ? "," : "{", json(name(p)), substr($0, 1, 64), mode[p], json(owner[p]) }
      END { print n ? "}" : "{}" }' "$T/stat" -
}

containers() {
  # Also the answer to "does the daemon answer".
  if ! docker ps --all --quiet --no-trunc --filter label=com.docker.compose.project >"$T/ids" 2>/dev/null; then
    echo false >"$T/docker"; echo '[]'; return
  fi
  echo true >"$T/docker"
  [ -s "$T/ids" ] || { echo '[]'; return; }
  # A container that vanished meanwhile is left out of the answer.
  # shellcheck disable=SC2016 # the dollars are the template's
  xargs docker inspect --type container --format '{"name":{{json (slice .Name 1)}},"id":{{json .Id}},"image":{{json .Image}},"image_ref":{{json .Config.Image}},"project":{{json (index .Config.Labels "com.docker.compose.project")}},"service":{{json (index .Config.Labels "com.docker.compose.service")}},"labels":{ {{- $sep := "" -}}{{- range $k, $v := .Config.Labels -}}{{- if eq (truncate $k 9) "provision" -}}{{- $sep -}}{{- json $k -}}:{{- json $v -}}{{- $sep = "," -}}{{- end -}}{{- end -}} },"state":{{json .State.Status}},"health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}},"started_at":{{json .State.StartedAt}},"restart_count":{{json .RestartCount}},"exit_code":{{json .State.ExitCode}},"oneoff":{{if eq (index .Config.Labels "com.docker.compose.oneoff") "True"}}true{{else}}false{{end}}}' \
    <"$T/ids" 2>/dev/null | awk '{ printf "%s%s", n++ ? "," : "[", $0 } END { print n ? "]" : "[]" }'
}

images() {
  docker images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' 2>/dev/null </dev/null | awk "$JSON_AWK"'
    { id = $1; tag = $2
      if (!(id in tags)) { order[++n] = id; tags[id] = "" }
      if (tag !~ /<none>/) tags[id] = tags[id] (tags[id] == "" ? "" : ",") json(tag) }
    END { printf "["; for (i = 1; i <= n; i++) printf "%s{\"id\":%s,\"tags\":[%s]}", (i > 1 ? "," : ""), json(order[i]), tags[order[i]]; print "]" }'
}

networks() { docker network ls --format '{{.Name}}' 2>/dev/null </dev/null | json_lines; }
volumes() { docker volume ls --format '{{.Name}}' 2>/dev/null </dev/null | json_lines; }

listeners() {
  ss -H -tulnp 2>/dev/null | awk "$JSON_AWK"'
    { at = $5; port = at; sub(/.*:/, "", port); sub(/:[^:]*$/, "", at); sub(/%.*/, "", at); gsub(/[][]/, "", at)
      process = "null"
      if (match($0, /users:\(\("/)) { process = substr($0, RSTART + 9); sub(/",pid=.*/, "", process); process = json(process) }
      printf "%s{\"proto\":%s,\"address\":%s,\"port\":%d,\"process\":%s}", n++ ? "," : "[", json($1), json(at), port, process }
    END { print n ? "]" : "[]" }'
}

disk() {
  root=$(sed -n 's/.*"data-root"[^"]*"\([^"]*\)".*/\1/p' /etc/docker/daemon.json 2>/dev/null)
  mountpoint -q /data && data=/data || data=/
  df -B1 --output=target,size,avail / "$data" "${root:-/var/lib/docker}" 2>/dev/null | awk "$JSON_AWK"'
    NR > 1 && !($1 in seen) { seen[$1] = 1
      printf "%s{\"mount\":%s,\"total_bytes\":%s,\"free_bytes\":%s}", n++ ? "," : "[", json($1), $2, $3 }
    END { print n ? "]" : "[]" }'
}

memory() { awk '/^MemTotal:/ { t = $2 } /^MemAvailable:/ { a = $2 } END { printf "{\"total_bytes\":%.0f,\"available_bytes\":%.0f}\n", t * 1024, a * 1024 }' /proc/meminfo; }

operating_system() {
  # shellcheck source=/dev/null
  ( ID='' VERSION_ID=''; [ ! -r /etc/os-release ] || . /etc/os-release
    printf '%s\n' "$ID" "$VERSION_ID" "$(uname -m)" "$(uname -r)" ) | awk "$JSON_AWK"'
    { v[NR] = $0 } END { printf "{\"id\":%s,\"version\":%s,\"arch\":%s,\"kernel\":%s}\n", json(v[1]), json(v[2]), json(v[3]), json(v[4]) }'
}

main() {
  T=$(mktemp -d /run/provision-probe.XXXXXX) || exit 1
  trap 'rm -rf "$T"' EXIT
  echo false >"$T/docker"
  # The slow ones first, side by side: docker's client and, at worst, Python.
  for f in containers cloud_init images networks volumes; do $f >"$T/$f" 2>/dev/null </dev/null & done
  for f in files base_firewall listeners disk host_key operating_system memory; do $f >"$T/$f" 2>/dev/null </dev/null; done
  read -r boot </proc/sys/kernel/random/boot_id
  read -r up _ </proc/uptime
  name=$(json_text </proc/sys/kernel/hostname)
  converged=$(json_file /var/lib/provision/converged)
  failed=$(json_file /var/lib/provision/converge/failed)
  sshd=$(digest /etc/ssh/sshd_config.d/00-provision.conf)
  daemon=$(digest /etc/docker/daemon.json)
  firewall=$(digest /usr/local/lib/provision/firewall)
  wait
  get() { cat "$T/$1"; }
  cat <<END
{"probe":1,"boot_id":"$boot","os":$(get operating_system),"hostname":$name,"clock":$(date +%s),
"cloud_init":$(get cloud_init),"converged":$converged,"converge_failed":$failed,
"base":{"sshd":$sshd,"daemon_json":$daemon,"firewall_script":$firewall,"firewall_live":$(get base_firewall),"docker":$(get docker)},
"host_key":$(get host_key),"files":$(get files),"containers":$(get containers),"images":$(get images),
"networks":$(get networks),"volumes":$(get volumes),"listeners":$(get listeners),"disk":$(get disk),
"memory":$(get memory),"uptime_seconds":${up%.*}}
END
}

main
