#!/bin/sh
# caddy-reload.sh: has the edge's Caddy take its present files, and shows whether it did.
# usage: sudo sh -s -- [CONFIG] <caddy-reload.sh       CONFIG: path in the container, default /etc/caddy/Caddyfile
# stdout: {"meant":<JSON of the file>,"live":<JSON the admin API answers with>}: the same value when all went well.
# A reload that says OK may have read an old file (caddy#5735); comparing is the tool's part.
# Exit 65: the file is not valid, Caddy's words on stderr, nothing changed. 69: Caddy does not run. 1: reload failed.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Inside the container, at one start of docker's client.
# shellcheck disable=SC2016 # for the shell in there
INSIDE='
config=$1
words=$(caddy validate --config "$config" --adapter caddyfile 2>&1) || { printf "%s\n" "$words" >&2; exit 65; }
caddy reload --config "$config" --adapter caddyfile >&2 2>&1 || exit 1
printf "{\"meant\":"
caddy adapt --config "$config" --adapter caddyfile 2>/dev/null
printf ",\"live\":"
wget -q -O - http://127.0.0.1:2019/config/
printf "}\n"
'

main() {
  id=$(docker ps --quiet --filter label=com.docker.compose.project=edge --filter label=com.docker.compose.service=caddy </dev/null)
  [ -n "$id" ] || { echo "error: the edge's caddy is not running" >&2; exit 69; }
  exec docker exec "$id" sh -euc "$INSIDE" caddy-reload "${1:-/etc/caddy/Caddyfile}" </dev/null
}

main "$@"
