#!/bin/sh
# remove-stack.sh: takes a stack down and its files away. Also when its files are gone or broken, and when it is
# down already: Compose finds a project by its labels.
# usage: sudo sh -s -- STACK [--volumes] <remove-stack.sh
# Without --volumes the volumes stay, and so does what is not ours in its folder (named on stderr as "kept: …").
# With --volumes all of it goes.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}

main() {
  case ${1:-} in '' | [!a-z0-9]* | *[!a-z0-9_-]*) echo "usage: remove-stack.sh STACK [--volumes]" >&2; exit 64 ;; esac
  case ${2:-} in '' | --volumes) ;; *) echo "usage: remove-stack.sh STACK [--volumes]" >&2; exit 64 ;; esac
  stack=$1 volumes=${2:-} label="label=com.docker.compose.project=$1" target=$ROOT/stacks/$1

  if command -v docker >/dev/null; then
    # Elsewhere than in its folder: the labels tell, not the files.
    cd /
    docker compose --ansi never --project-name "$stack" down --remove-orphans </dev/null 2>&1
    # What Compose does not count as its own: containers of `run`.
    docker ps --all --quiet --filter "$label" </dev/null | xargs -r docker rm --force --volumes >/dev/null
    docker network ls --quiet --filter "$label" </dev/null | xargs -r docker network rm >/dev/null
    if [ -n "$volumes" ]; then docker volume ls --quiet --filter "$label" </dev/null | xargs -r docker volume rm >/dev/null; fi
  fi

  for staged in "$ROOT/incoming/$stack"-*; do
    rest=${staged#"$ROOT/incoming/$stack"-}
    case ${rest%.partial} in '' | *[!0-9a-f]*) ;; *) rm -rf "$staged" ;; esac
  done
  rm -rf "$ROOT/releases/$stack"
  if [ -n "$volumes" ]; then rm -rf "$target"; fi
  [ -d "$target" ] || return 0
  cd "$target"
  # The manifest last: killed before, another run still knows what is ours.
  for manifest in .pending .manifest; do
    [ ! -f "$manifest" ] || sed 's/^[0-9a-f]*  [0-7]*  //' "$manifest" | while IFS= read -r path; do [ -d "./$path" ] || rm -f "./$path"; done
  done
  rm -f .pending .digest .manifest
  cd /
  find "$target" -depth -type d -empty -delete
  if [ -d "$target" ]; then find "$target" -type f -printf 'kept: %p\n' | head -n 20 >&2; fi
}

main "$@"
