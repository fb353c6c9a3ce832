#!/bin/sh
# check-edge.sh: whether Caddy takes a received release of the edge, before any of it is put in place.
# usage: sudo sh -s -- DIGEST IMAGE <check-edge.sh
# A container of its own reads what lies in /opt/provision/incoming/edge-DIGEST/config: without a network, without the real
# certificates, and gone when it has answered.
# Exit 65: Caddy does not take it, its words on stderr. 66: that release has not been received.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}

main() {
  [ $# = 2 ] || { echo "usage: check-edge.sh DIGEST IMAGE" >&2; exit 64; }
  case $1 in '' | *[!0-9a-f]*) echo "error: bad digest '$1'" >&2; exit 64 ;; esac
  config=$ROOT/incoming/edge-$1/config
  if [ ! -f "$config/Caddyfile" ]; then
    # The present one has been through this.
    [ "$(cat "$ROOT/stacks/edge/.digest" 2>/dev/null)" = "$1" ] || { echo "error: release $1 of the edge has not been received" >&2; exit 66; }
    exit 0
  fi
  # Asked for apart: that an image cannot be had says nothing about the files.
  docker image inspect "$2" >/dev/null 2>&1 </dev/null || docker pull --quiet "$2" >/dev/null </dev/null
  words=$(docker run --rm --network none --tmpfs /data --tmpfs /config --volume "$config:/etc/caddy:ro" "$2" \
    caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile 2>&1 </dev/null) || {
    # Its log is JSON lines that say nothing of what is wrong; its last line does.
    printf '%s\n' "$words" | grep -v '^{' | tail -n 5 >&2
    exit 65
  }
}

main "$@"
