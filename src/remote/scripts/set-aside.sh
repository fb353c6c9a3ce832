#!/bin/sh
# set-aside.sh: stops a container that bears a name of ours and is not, and gives the name free. Removes nothing.
# usage: sudo sh -s -- STACK NAME <set-aside.sh        prints what became of it
# Killed anywhere and run again it ends the same; a container of the stack itself is left alone.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

main() {
  [ $# = 2 ] || { echo "usage: set-aside.sh STACK NAME" >&2; exit 64; }
  found=$(docker container inspect --format '{{.ID}} {{index .Config.Labels "com.docker.compose.project"}}' "$2" 2>/dev/null) || return 0
  id=${found%% *} project=${found#* }
  [ "$project" != "$1" ] || return 0
  new=$2.aside-$(printf %.12s "$id")
  # Not back at the next boot either.
  docker update --restart no "$id" >/dev/null
  docker stop "$id" >/dev/null
  docker rename "$id" "$new"
  echo "container $2 was made by somebody else; it is stopped and named $new now"
}

main "$@" </dev/null
