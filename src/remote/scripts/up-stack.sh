#!/bin/sh
# up-stack.sh: starts what changed in a stack, leaves the rest alone; health.sh is what waits.
# usage: sudo sh -s -- STACK [ARGUMENT…] <up-stack.sh       arguments go to `docker compose up`, e.g. --scale worker=3
# No --wait: it takes a one-shot service that finished for a failure (docker/compose#10596). Compose builds an
# image itself when the service has `build:` and the image is missing. Exit code: Compose's.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}

main() {
  case ${1:-} in '' | [!a-z0-9]* | *[!a-z0-9_-]*) echo "usage: up-stack.sh STACK [ARGUMENT…]" >&2; exit 64 ;; esac
  stack=$1 dir=$ROOT/stacks/$1; shift
  cd "$dir" 2>/dev/null || { echo "error: stack $stack is not on this host" >&2; exit 66; }
  override=; [ ! -f compose.provision.yaml ] || override='--file compose.provision.yaml'
  # shellcheck disable=SC2086 # two words or none
  exec docker compose --ansi never --project-name "$stack" --file compose.yaml $override \
    up --detach --remove-orphans --quiet-pull "$@" </dev/null 2>&1
}

main "$@"
