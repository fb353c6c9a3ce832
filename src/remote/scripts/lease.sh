#!/bin/sh
# lease.sh: who may change this host now, and whose host it is.
# usage: sudo sh -s -- VERB ARGUMENT… <lease.sh
#   take TOKEN SECONDS LINEAGE HOLDER [INSTEAD]
#                         takes the lease, or takes it again; in place of the one with the token INSTEAD, whatever its end
#   renew TOKEN SECONDS   makes it last for that long from now on
#   release TOKEN         gives it back
#   show                  looks, and changes nothing
#   break TOKEN           takes it away from its holder
#   own OLD NEW           makes this the host of the lineage NEW, when it is that of OLD
# HOLDER is JSON on one line. Every verb compares and changes under one lock, and prints one JSON object: `ours` says whether
# the verb was carried out, `lease` and `owner` what is there now.
# An end is told in seconds since boot, by the host's own clock: no computer's clock is compared with another's. The lease goes
# with a reboot, as whatever was at work does; the owner stays.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN=${PROVISION_RUN:-/run/provision}
LASTING=${PROVISION_LASTING:-/var/lib/provision}
LEASE=$RUN/lease
OWNER=$LASTING/owner

die() { rc=$1; shift; echo "error: $*" >&2; exit "$rc"; }
word() { case $1 in '' | *[!0-9a-f]*) die 64 "bad $2 '$1'" ;; esac; }
number() { case $1 in '' | *[!0-9]*) die 64 "bad number '$1'" ;; esac; }

now() { IFS=. read -r up _ </proc/uptime; echo "$up"; }

# What is there: $token, $ends and $holder, all empty when nobody has it or its end is past; and $owner.
look() {
  token='' ends=0 holder='' owner=''
  [ ! -r "$OWNER" ] || read -r owner <"$OWNER" || :
  [ -r "$LEASE" ] || return 0
  { read -r token && read -r ends && read -r holder; } <"$LEASE" || { token='' ends=0 holder=''; return 0; }
  case $ends in '' | *[!0-9]*) ends=0 ;; esac
}
lives() { [ -n "$token" ] && [ "$ends" -gt "$(now)" ]; }

# put FILE TEXT: whole or not at all.
put() { printf '%s\n' "$2" >"$1.new"; mv -f "$1.new" "$1"; }
write() { token=$1 ends=$(($(now) + $2)) holder=$3; put "$LEASE" "$(printf '%s\n%s\n%s' "$token" "$ends" "$holder")"; }
forget() { rm -f "$LEASE"; token='' ends=0 holder=''; }

answer() {
  lease=null
  ! lives || lease="{\"token\":\"$token\",\"seconds\":$((ends - $(now))),\"holder\":$holder}"
  owned=null; [ -z "$owner" ] || owned=\"$owner\"
  printf '{"ours":%s,"lease":%s,"owner":%s}\n' "$1" "$lease" "$owned"
}

take() {
  { [ -z "$owner" ] || [ "$owner" = "$3" ]; } || { answer false; return; }
  ! lives || [ "$token" = "$1" ] || { [ -n "$5" ] && [ "$token" = "$5" ]; } || { answer false; return; }
  if [ -z "$owner" ]; then
    (umask 022; mkdir -p "$LASTING")
    put "$OWNER" "$3"; sync "$OWNER" "$LASTING"; owner=$3
  fi
  write "$1" "$2" "$4"
  answer true
}

main() {
  verb=${1:-}; [ $# = 0 ] || shift
  case $verb:$# in
    take:4 | take:5) word "$1" token; number "$2"; word "$3" lineage; [ -z "${5:-}" ] || word "$5" token
      case $4 in *'
'*) die 64 'a holder of more than one line' ;; '{'*'}') ;; *) die 64 "bad holder '$4'" ;; esac ;;
    renew:2) word "$1" token; number "$2" ;;
    release:1 | break:1) word "$1" token ;;
    own:2) word "$1" lineage; word "$2" lineage ;;
    show:0) look; answer false; return ;;
    *) die 64 'usage: lease.sh take|renew|release|show|break|own ARGUMENT…' ;;
  esac
  umask 077; mkdir -p "$RUN"
  exec 9>"$RUN/lease.lock"
  flock -w 20 9 || die 75 "the lease's lock is held: $RUN/lease.lock"
  look
  case $verb in
    take) take "$1" "$2" "$3" "$4" "${5:-}" ;;
    # Also past its end: nobody took it.
    renew) if [ -n "$token" ] && [ "$token" = "$1" ]; then write "$1" "$2" "$holder"; answer true; else answer false; fi ;;
    release | break) if [ "$token" = "$1" ]; then forget; answer true; else answer false; fi ;;
    own) if [ "$owner" = "$1" ]; then put "$OWNER" "$2"; sync "$OWNER" "$LASTING"; owner=$2; answer true; else answer false; fi ;;
  esac
}

main "$@"
