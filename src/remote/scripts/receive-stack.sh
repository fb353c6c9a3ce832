#!/bin/sh
# receive-stack.sh: takes a stack's files to a place of their own, checks them, changes nothing that runs.
# usage: sudo sh -c "$(cat receive-stack.sh)" receive STACK DIGEST BYTES <stack.tar.gz
# stdin: gzip tar of regular files and folders, modes and owners as they shall be, and `.manifest` with a
# line "sha256␠␠mode␠␠path" for each file but itself. BYTES: their size unpacked.
# Result: /opt/provision/incoming/STACK-DIGEST, on disk. Exit 28: disk full. 65: not what the manifest says.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}
RESERVE=67108864 # 64 MiB stay free for logs and for the way back

die() { rc=$1; shift; echo "error: $*" >&2; exit "$rc"; }
human() { awk -v b="$1" 'BEGIN { printf b < 1048576 ? "%.0f KiB" : "%.0f MiB", b / (b < 1048576 ? 1024 : 1048576) }'; }

main() {
  [ $# = 3 ] || die 64 "usage: receive-stack.sh STACK DIGEST BYTES"
  stack=$1 digest=$2 bytes=$3
  case $stack in '' | [!a-z0-9]* | *[!a-z0-9_-]*) die 64 "bad stack name '$stack'" ;; esac
  case $digest in '' | *[!0-9a-f]*) die 64 "bad digest '$digest'" ;; esac
  case $bytes in '' | *[!0-9]*) die 64 "bad size '$bytes'" ;; esac
  umask 022; mkdir -p "$ROOT"
  umask 077; mkdir -p "$ROOT/incoming"
  cd "$ROOT/incoming"

  # What earlier runs left; "app-x-12ab" is not an upload of "app".
  for old in "$stack"-*; do
    rest=${old#"$stack"-}; rest=${rest%.partial}
    case $rest in '' | *[!0-9a-f]*) ;; *) rm -rf "./$old" ;; esac
  done

  free=$(df -B1 --output=avail . | tail -n 1 | tr -d ' ')
  need=$((bytes + RESERVE))
  [ "$free" -ge "$need" ] || die 28 "disk full: needs $(human "$need"), $(human "$free") free on $(df --output=target . | tail -n 1)"

  new=$stack-$digest.partial
  mkdir "$new"; cd "$new"
  tar -xzpf - --same-owner --numeric-owner || die 65 "the upload of stack $stack is cut short or no gzip tar"
  odd=$(find . ! -type f ! -type d | head -n 1)
  [ -z "$odd" ] || die 65 "the upload of stack $stack holds $odd, which is neither a file nor a folder"
  [ -f .manifest ] || die 65 "the upload of stack $stack has no .manifest"
  awk '{ h = $1; sub(/^[0-9a-f]+  [0-7]+  /, ""); print h "  " $0 }' .manifest >../"$new.sums"
  sums=../$new.sums
  # An empty stack is legal; sha256sum -c does not like an empty list.
  [ ! -s "$sums" ] || sha256sum --check --strict --quiet "$sums" >&2 || { rm -f "$sums"; die 65 "the upload of stack $stack differs from its manifest"; }
  rm -f "$sums"
  awk '{ m = $2; sub(/^0+/, "", m); sub(/^[0-9a-f]+  [0-7]+  /, ""); print m "  " $0 }' .manifest | sort >.modes
  find . -type f ! -path ./.manifest ! -path ./.modes -printf '%m  %P\n' | sort >.found
  sed -i '/^[0-7]*  \.found$/d' .found
  cmp -s .modes .found || { diff .modes .found >&2 || true; die 65 "modes or files of stack $stack differ from its manifest"; }
  rm -f .modes .found
  # Onto the disk before the rename says that all of it is there.
  find . -exec sync {} +
  cd ..
  mv -T "$new" "$stack-$digest"
  sync . "$stack-$digest"
}

main "$@"
