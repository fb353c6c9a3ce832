#!/bin/sh
# rotate-host-key.sh: replaces the host key of the first boot, which user-data still shows, over the connection
# that was verified with it. Connections that stand are not cut.
# usage: sudo sh -s -- prepare|activate|drop <rotate-host-key.sh
#   prepare   makes the next key (or takes the one prepared before); prints its public line: pin it BESIDE the old
#   activate  puts it in place, keeps the old one beside, reloads sshd; prints the public line now in use
#   drop      removes the old key, once a new connection was verified with the new one
# Every step may be repeated, also after a power cut in the middle of it.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
KEY=${PROVISION_HOST_KEY:-/etc/ssh/ssh_host_ed25519_key}
NEXT=$KEY.provision-next
OLD=$KEY.provision-old

public() { if [ -s "$1.pub" ]; then cat "$1.pub"; else ssh-keygen -y -f "$1" </dev/null; fi; }

prepare() {
  if [ ! -s "$NEXT" ]; then
    rm -f "$NEXT.tmp" "$NEXT.tmp.pub" "$NEXT.pub"
    ssh-keygen -q -t ed25519 -N '' -C "$(cat /proc/sys/kernel/hostname)" -f "$NEXT.tmp" </dev/null
    sync "$NEXT.tmp" "$NEXT.tmp.pub"
    # The private key last: it is there only when all is.
    mv -f "$NEXT.tmp.pub" "$NEXT.pub"
    mv -f "$NEXT.tmp" "$NEXT"
    sync "${KEY%/*}"
  fi
  public "$NEXT"
}

# install FROM: FROM becomes the key by rename. The public file goes first, a wrong one must never stand beside
# the key, and comes back last.
install_key() {
  rm -f "$KEY.pub"
  mv -f "$1" "$KEY"
  ssh-keygen -y -f "$KEY" </dev/null >"$KEY.pub.tmp"
  chmod 0644 "$KEY.pub.tmp"
  mv -f "$KEY.pub.tmp" "$KEY.pub"
  rm -f "$1.pub"
  sync "$KEY" "$KEY.pub" "${KEY%/*}"
}

activate() {
  if [ -s "$NEXT" ]; then
    if [ ! -s "$OLD" ]; then cp -p "$KEY" "$OLD.tmp"; sync "$OLD.tmp"; mv -f "$OLD.tmp" "$OLD"; fi
    install_key "$NEXT"
    mkdir -p /run/sshd
    if ! sshd -t; then
      cp -p "$OLD" "$NEXT.back"
      install_key "$NEXT.back"
      echo "error: sshd refuses the new host key; the old one is back" >&2
      exit 1
    fi
  elif [ ! -s "$KEY.pub" ]; then
    ssh-keygen -y -f "$KEY" </dev/null >"$KEY.pub"
  fi
  [ -s "$OLD" ] || { echo "error: no key is prepared; run prepare first" >&2; exit 66; }
  systemctl try-reload-or-restart ssh.service
  public "$KEY"
}

main() {
  umask 077
  case ${1:-} in
    prepare) prepare ;;
    activate) activate ;;
    drop) rm -f "$OLD" "$OLD.pub"; sync "${KEY%/*}"; public "$KEY" ;;
    *) echo "usage: rotate-host-key.sh prepare|activate|drop" >&2; exit 64 ;;
  esac
}

main "$@"
