#!/bin/sh
# leave.sh: takes what we made on a host that was there before back, but for the stacks, which are taken down one by one before.
# usage: sudo sh -s -- look|base LINEAGE <leave.sh
#   look  prints what there is of ours, a line each, and changes nothing:
#           other LINEAGE      the host belongs to somebody else
#           held SECONDS       somebody is at work on it
#           stack NAME         a Compose project of ours
#           volume NAME        a volume of such a project
#           image NAME         an image of its containers
#           packages NAME…     what we installed
#           left WHAT          anything of ours that a destroy takes away
#   base  takes firewall, sshd settings, units, network and files away. Run again after a cut anywhere, it ends the same.
# Touches nothing of others: their rules, files, networks and containers, nor settings of Docker that were there before.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_HOST_ROOT:-}
VAR=$ROOT/var/lib/provision
LIB=$ROOT/usr/local/lib/provision
OPT=$ROOT/opt/provision
RUN=$ROOT/run/provision
UNITS=$ROOT/etc/systemd/system
SSHD_DROPIN=$ROOT/etc/ssh/sshd_config.d/00-provision.conf
DAEMON_JSON=$ROOT/etc/docker/daemon.json

docker_there() { command -v docker >/dev/null && docker version >/dev/null 2>&1; }

# Stacks by their folders and by the labels of their containers.
stacks() {
  {
    for d in "$OPT"/stacks/*/ "$OPT"/releases/*/; do d=${d%/}; [ ! -d "$d" ] || echo "${d##*/}"; done
    ! docker_there || docker ps --all --filter label=provision.stack --format '{{.Label "provision.stack"}}'
  } | sort -u
}

tables() {
  ! nft list table inet provision >/dev/null 2>&1 || echo 'left firewall table inet provision'
  for t in iptables ip6tables; do
    ! $t -w 30 -n -L PROVISION-DOCKER >/dev/null 2>&1 || echo "left $t chain PROVISION-DOCKER"
  done
}

look() {
  if [ -r "$VAR/owner" ]; then
    read -r owner <"$VAR/owner" || owner=
    [ -z "$owner" ] || [ "$owner" = "$1" ] || { echo "other $owner"; return; }
  fi
  if [ -r "$RUN/lease" ]; then
    { read -r _ && read -r ends; } <"$RUN/lease" || ends=0
    IFS=. read -r up _ </proc/uptime
    case $ends in '' | *[!0-9]*) ends=0 ;; esac
    [ "$ends" -le "$up" ] || echo "held $((ends - up))"
  fi
  for s in $(stacks); do
    echo "stack $s"
    if docker_there; then
      docker volume ls --quiet --filter "label=com.docker.compose.project=$s" | sed 's/^/volume /'
      docker ps --all --filter "label=provision.stack=$s" --format 'image {{.Image}}'
    fi
  done | sort -u
  [ ! -r "$VAR/converge/packages.ours" ] || echo "packages $(tr '\n' ' ' <"$VAR/converge/packages.ours")"
  ! docker_there || docker ps --all --filter label=provision.stack --format 'left container {{.Names}}'
  ! docker_there || docker network ls --filter label=provision=1 --format 'left network {{.Name}}'
  for f in "$SSHD_DROPIN" "$UNITS/provision-firewall.service" "$UNITS/sysinit.target.wants/provision-firewall.service" \
    "$UNITS/docker.service.d/provision.conf" "$LIB" "$VAR"; do
    if [ -e "$f" ] || [ -L "$f" ]; then echo "left file ${f#"$ROOT"}"; fi
  done
  # What is not ours in the folder of a stack stays with its volumes.
  [ ! -d "$OPT" ] || find "$OPT" -type f -printf 'file %p\n' | sed "s|^file $ROOT|file |" | head -n 20
  tables
}

networks() {
  docker_there || return 0
  for id in $(docker network ls --quiet --filter label=provision=1); do
    # Somebody else's container may hang on it: it stays, and loses our network alone.
    for c in $(docker network inspect --format '{{range $k, $v := .Containers}}{{$k}} {{end}}' "$id"); do
      docker network disconnect --force "$id" "$c"
    done
    docker network rm "$id" >/dev/null
  done
}

firewall() {
  if command -v nft >/dev/null && nft list table inet provision >/dev/null 2>&1; then nft delete table inet provision; fi
  for t in iptables ip6tables; do
    command -v "$t" >/dev/null || continue
    while $t -w 30 -D DOCKER-USER -j PROVISION-DOCKER 2>/dev/null; do :; done
    if $t -w 30 -n -L PROVISION-DOCKER >/dev/null 2>&1; then $t -w 30 -F PROVISION-DOCKER; $t -w 30 -X PROVISION-DOCKER; fi
    # Docker's own has a rule at its end.
    if [ -e "$VAR/made-$t" ] && [ "$($t -w 30 -S DOCKER-USER 2>/dev/null)" = '-N DOCKER-USER' ]; then
      while $t -w 30 -D FORWARD -j DOCKER-USER 2>/dev/null; do :; done
      $t -w 30 -X DOCKER-USER
    fi
  done
  if [ -e "$VAR/made-ip6-filter" ] && ! ip6tables -w 30 -S 2>/dev/null | grep -qv '^-P [A-Z]* ACCEPT$'; then
    nft delete table ip6 filter 2>/dev/null || true
  fi
}

sshd_settings() {
  [ -e "$SSHD_DROPIN" ] || return 0
  mv -f "$SSHD_DROPIN" "$VAR/sshd.left"
  mkdir -p /run/sshd
  if sshd -t; then systemctl try-reload-or-restart ssh.service; else
    mv -f "$VAR/sshd.left" "$SSHD_DROPIN"
    echo 'error: sshd refuses its own settings without ours; mend them (sshd -t)' >&2
    exit 1
  fi
}

base() {
  mkdir -p "$VAR"
  systemctl stop provision-revert.timer 2>/dev/null || true
  networks
  rm -f "$UNITS/docker.service.d/provision.conf" "$UNITS/sysinit.target.wants/provision-firewall.service"
  rmdir "$UNITS/docker.service.d" 2>/dev/null || true
  if [ -e "$UNITS/provision-firewall.service" ]; then
    systemctl stop provision-firewall.service || true
    rm -f "$UNITS/provision-firewall.service"
  fi
  systemctl daemon-reload
  firewall
  sshd_settings
  # Ours, when we installed the engine and nobody has changed it since.
  if [ -e "$VAR/converge/daemon.kept" ] && cmp -s "$DAEMON_JSON" "$VAR/converge/daemon.kept"; then
    rm -f "$DAEMON_JSON"
    rmdir "${DAEMON_JSON%/*}" 2>/dev/null || true
  fi
  rm -rf "$LIB" "$RUN" "$ROOT/run/lock/provision-converge" "$OPT/releases" "$OPT/incoming"
  [ ! -d "$OPT" ] || find "$OPT" -depth -type d -empty -delete
  # Last: as long as it is there, a destroy that was cut off finds whose all of this is.
  rm -rf "$VAR"
}

main() {
  case ${2:-} in '' | *[!0-9a-f]*) echo 'usage: leave.sh look|base LINEAGE' >&2; exit 64 ;; esac
  case $1 in
    look) look "$2" ;;
    base) base ;;
    *) echo 'usage: leave.sh look|base LINEAGE' >&2; exit 64 ;;
  esac
}

main "$@"
