#!/bin/sh
# preflight.sh: what a host that was there before is like, as far as it matters before anything is put there. Changes nothing.
# usage: sh -s <preflight.sh, as the user that logged in; asks sudo itself
# stdout: a line each, a word and the rest: what cannot be told is left out.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

tell() { [ -z "${2:-}" ] || printf '%s %s\n' "$1" "$2"; }

# How commands get to be root: yes, or why not.
sudo_works() {
  if [ "$(id -u)" = 0 ]; then tell sudo yes; return 0; fi
  command -v sudo >/dev/null || { tell sudo missing; return 1; }
  if said=$(sudo -n -- timeout --kill-after=10 10 true 2>&1); then tell sudo yes; return 0; fi
  case $said in
    *'password is required'* | *'terminal is required'*) tell sudo asks ;;
    *) tell sudo "refuses ${said##*sudo: }" ;;
  esac
  return 1
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi; }

# Who listens on a port that the edge needs; docker's own proxy listens for a container.
taken() {
  as_root ss -H -tulnp 2>/dev/null | awk '
    { port = $5; sub(/.*:/, "", port); at = $5; sub(/:[^:]*$/, "", at) }
    at ~ /^(127\.|\[::1\])/ { next }
    !($1 == "tcp" && (port == 80 || port == 443) || $1 == "udp" && port == 443) { next }
    { who = "a program that does not tell its name" }
    match($0, /users:\(\(".*/) { who = substr($0, RSTART + 9); pid = who; sub(/".*/, "", who); sub(/.*pid=/, "", pid); sub(/[^0-9].*/, "", pid)
      who = who " (process " pid ")" }
    !seen[$1 port who]++ { print "taken " port "/" $1 " " who }'
  for port in 80 443; do
    name=$(as_root docker ps --filter "publish=$port" --format 'container' --quiet 2>/dev/null | head -n 1)
    [ -z "$name" ] || tell published "$port $(as_root docker inspect --format '{{slice .Name 1}}' "$name" 2>/dev/null)"
  done
}

engine() {
  path=$(command -v dockerd || command -v docker) || return 0
  case $(readlink -f "$path") in
    /snap/* | */snapd/* | /usr/bin/snap) tell docker snap; return 0 ;;
  esac
  [ ! -d /snap/docker ] || { tell docker snap; return 0; }
  tell docker there
}

main() {
  exec </dev/null
  echo 'preflight 1'
  tell clock "$(date +%s)"
  tell arch "$(uname -m)"
  if [ -r /etc/os-release ]; then
    # shellcheck source=/dev/null
    (. /etc/os-release; tell os "${ID:-unknown} ${VERSION_ID:-}"; tell os_name "${PRETTY_NAME:-${ID:-}}")
  fi
  if [ -d /run/systemd/system ]; then tell systemd yes; else tell systemd no; fi
  tell memory_kib "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)"
  # Docker's data, or where it will be.
  for at in /var/lib/docker /var/lib /; do [ ! -d "$at" ] || break; done
  tell disk_free_kib "$(df -Pk "$at" 2>/dev/null | awk 'NR == 2 { print $4 }')"
  engine
  sudo_works || return 0
  tell owner "$(as_root cat /var/lib/provision/owner 2>/dev/null | head -n 1)"
  tell environment "$(as_root cat /var/lib/provision/existing 2>/dev/null | head -n 1)"
  taken
}

main "$@"
