#!/bin/sh
# restore-stack.sh: makes a kept release ready for activate-stack.sh, which then puts it in place like any other.
# usage: sudo sh -s -- STACK DIGEST <restore-stack.sh        then: activate-stack.sh STACK DIGEST
# Result: /opt/provision/incoming/STACK-DIGEST; the kept release stays. Exit 66: no such release (those that
# there are, newest first, on stderr).
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}

die() { rc=$1; shift; echo "error: $*" >&2; exit "$rc"; }

main() {
  [ $# = 2 ] || die 64 "usage: restore-stack.sh STACK DIGEST"
  stack=$1 digest=$2
  case $stack in '' | [!a-z0-9]* | *[!a-z0-9_-]*) die 64 "bad stack name '$stack'" ;; esac
  case $digest in '' | *[!0-9a-f]*) die 64 "bad digest '$digest'" ;; esac
  kept=$ROOT/releases/$stack/$digest
  if [ ! -f "$kept/.manifest" ]; then
    [ ! -d "$ROOT/releases/$stack" ] || find "$ROOT/releases/$stack" -mindepth 1 -maxdepth 1 -type d ! -name '*.partial' -printf '%T@ %f\n' |
      sort -rn | sed 's/^[^ ]* /kept: /' >&2
    die 66 "no release $digest of stack $stack is kept on the host"
  fi
  umask 077
  mkdir -p "$ROOT/incoming"
  new=$ROOT/incoming/$stack-$digest
  rm -rf "$new" "$new.partial"
  cp -a "$kept" "$new.partial"
  find "$new.partial" -exec sync {} +
  mv -T "$new.partial" "$new"
  sync "$ROOT/incoming"
}

main "$@"
