#!/bin/sh
# job.sh: runs one service of a stack to its end: a migration before a deploy, a seed, a task by hand.
# usage: sudo sh -s -- STACK SERVICE [COMMAND…] <job.sh
# What the service depends on inside its stack is started first; its profile is switched on by naming it.
# stdout and stderr: the job's. Exit code: the job's.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}

main() {
  case ${1:-} in '' | [!a-z0-9]* | *[!a-z0-9_-]*) echo "usage: job.sh STACK SERVICE [COMMAND…]" >&2; exit 64 ;; esac
  [ $# -ge 2 ] || { echo "usage: job.sh STACK SERVICE [COMMAND…]" >&2; exit 64; }
  stack=$1; shift
  cd "$ROOT/stacks/$stack" 2>/dev/null || { echo "error: stack $stack is not on this host" >&2; exit 66; }
  override=; [ ! -f compose.provision.yaml ] || override='--file compose.provision.yaml'
  # shellcheck disable=SC2086 # two words or none
  exec docker compose --ansi never --project-name "$stack" --file compose.yaml $override \
    run --rm --no-TTY --quiet-pull "$@" </dev/null
}

main "$@"
