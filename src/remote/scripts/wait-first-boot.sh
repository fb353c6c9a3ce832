#!/bin/sh
# wait-first-boot.sh: waits at most SECONDS (20 at most) for the first boot to get on, and says where it is.
# usage: sudo sh -s -- SECONDS [LAST_PART] <wait-first-boot.sh
# Returns at once when the part at work is another than LAST_PART ("" for none), when the host has
# converged or failed, or when cloud-init ended. stdout:
# {"cloud_init":…,"part":…,"said":…,"converged":…,"failed":…}; `part` is null when nobody works on it, also after a
# power cut in the middle; `said` is the last line that the part wrote.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VAR=/var/lib/provision

string() {
  [ -n "$1" ] || { echo null; return; }
  printf '%s\n' "$1" | awk '{ gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/[^ -~]/, "?")
    printf "%s%s", (NR > 1 ? "\\n" : "\""), $0 } END { print "\"" }'
}

part_at_work() {
  [ -r "$VAR/converge/current" ] && ! flock -n /run/lock/provision-converge true 2>/dev/null || return 0
  cat "$VAR/converge/current" 2>/dev/null
}

# Its command starts Python; while it runs and after a clean boot its files say the same.
cloud_init() {
  if ! command -v cloud-init >/dev/null; then echo null
  elif [ -e /run/cloud-init/disabled ]; then echo '{"status":"disabled","errors":[]}'
  elif [ ! -e /run/cloud-init/result.json ]; then echo '{"status":"running","errors":[]}'
  elif ! cat /run/cloud-init/result.json /run/cloud-init/status.json 2>/dev/null |
    grep -Eq '"(errors|recoverable_errors)": *[[{] *$'; then echo '{"status":"done","errors":[]}'
  else
    cloud-init status --format json 2>/dev/null </dev/null | awk '{ print; n++ } END { if (!n) print "null" }'
  fi
}

main() {
  case ${1:-} in '' | *[!0-9]*) echo "usage: wait-first-boot.sh SECONDS [LAST_PART]" >&2; exit 64 ;; esac
  end=$(($(date +%s) + ($1 > 20 ? 20 : $1))) last=${2:-}
  while :; do
    part=$(part_at_work)
    converged=$(cat "$VAR/converged" 2>/dev/null)
    failed=$(cat "$VAR/converge/failed" 2>/dev/null)
    if [ "$part" != "$last" ] || [ -n "$converged$failed" ] ||
      [ -e /run/cloud-init/result.json ] || [ "$(date +%s)" -ge "$end" ]; then break; fi
    sleep 0.5
  done
  said=
  [ -z "$part" ] || said=$(tail -n 1 "$VAR/converge/log" 2>/dev/null | cut -c 1-200)
  printf '{"cloud_init":%s,"part":%s,"said":%s,"converged":%s,"failed":%s}\n' \
    "$(cloud_init)" "$(string "$part")" "$(string "$said")" "$(string "$converged")" "$(string "$failed")"
}

main "$@"
