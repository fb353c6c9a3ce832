#!/bin/sh
# check-compose.sh: what Compose itself makes of a stack's files: extends, include, anchors, every profile and
# interpolation resolved.
# usage: sudo sh -s -- STACK [DIR] <check-compose.sh       DIR: default /opt/provision/stacks/STACK
# stdout: the JSON of `docker compose config`. It holds resolved values, secrets too: judge it, never print it.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}

main() {
  case ${1:-} in '' | [!a-z0-9]* | *[!a-z0-9_-]*) echo "usage: check-compose.sh STACK [DIR]" >&2; exit 64 ;; esac
  stack=$1 dir=${2:-$ROOT/stacks/$1}
  [ -f "$dir/compose.yaml" ] || { echo "error: stack $stack has no $dir/compose.yaml" >&2; exit 66; }
  set -- --project-name "$stack" --project-directory "$dir" --file "$dir/compose.yaml"
  [ ! -f "$dir/compose.provision.yaml" ] || set -- "$@" --file "$dir/compose.provision.yaml"
  exec docker compose "$@" --profile '*' config --format json </dev/null
}

main "$@"
