#!/bin/sh
# activate-stack.sh: puts a received release in place, file by file.
# usage: sudo sh -s -- STACK DIGEST <activate-stack.sh
# From /opt/provision/incoming/STACK-DIGEST (receive-stack.sh, restore-stack.sh) to /opt/provision/stacks/STACK.
# - The files there before are kept as /opt/provision/releases/STACK/<digest before>, the last five of them.
# - A changed file is renamed over its target, an equal one keeps its inode; folders stay, since containers
#   have them mounted.
# - Files the last manifest named and this one does not are removed; what no manifest named is never touched.
# Killed at any instant and run again it ends the same: `.manifest` and `.digest` are written last.
# Exit 66: that release has not been received (and is not the present one).
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ROOT=${PROVISION_ROOT:-/opt/provision}
KEEP=5
TAB=$(printf '\t')

die() { rc=$1; shift; echo "error: $*" >&2; exit "$rc"; }
# Lines "sha256 TAB mode TAB path".
entries() { [ ! -f "$1" ] || sed 's/^\([0-9a-f]*\)  0*\([0-7]*\)  /\1\t\2\t/' "$1"; }
paths() { entries "$1" | cut -f3-; }
# All that may be ours: named by the last manifest, or by one that was being placed when a run was killed.
ours() { { paths "$target/.manifest"; paths "$target/.pending"; } | sort -u; }

# The present files under the digest they were put in place as. A release that exists is complete.
keep_present() {
  [ -f "$target/.digest" ] && [ -f "$target/.manifest" ] || return 0
  before=$(cat "$target/.digest")
  [ "$before" != "$digest" ] || return 0
  umask 077; mkdir -p "$releases"; umask 022
  if [ -d "$releases/$before" ]; then touch "$releases/$before"; return 0; fi
  rm -rf "$releases"/*.partial
  kept=$releases/$before.partial
  mkdir -m 0700 "$kept"
  # The manifest tells what is really kept, also when somebody had edited a file.
  entries "$target/.manifest" | while IFS=$TAB read -r _ _ path; do
    [ -f "$target/$path" ] || continue
    (cd "$target" && cp -a --parents "./$path" "$kept")
    printf '%s  %s  %s\n' "$(sha256sum <"$kept/$path" | cut -c1-64)" "$(stat -c %a "$kept/$path")" "$path"
  done >"$kept.manifest"
  mv "$kept.manifest" "$kept/.manifest"
  find "$kept" -exec sync {} +
  mv -T "$kept" "$releases/$before"
  sync "$releases"
  touch "$releases/$before"
}

# Folders come with their mode and owner; one that exists is left as it is.
place_folders() {
  (cd "$staged" && find . -mindepth 1 -type d -printf '%P\n' | sort) | while IFS= read -r folder; do
    [ ! -d "$target/$folder" ] || continue
    # A file of ours may stand where a folder is wanted now.
    if [ -e "$target/$folder" ]; then
      ours | grep -qxF "$folder" || die 73 "$target/$folder is in the way and not ours; move it away"
      rm -f "$target/$folder"
    fi
    mkdir "$target/$folder"
    chmod --reference="$staged/$folder" "$target/$folder"
    chown --reference="$staged/$folder" "$target/$folder"
  done
}

place_files() {
  entries "$staged/.manifest" | while IFS=$TAB read -r sum _ path; do
    if [ ! -e "$staged/$path" ]; then
      # Placed by a run that was killed later on.
      [ "$(sha256sum <"$target/$path" | cut -c1-64)" = "$sum" ] || die 65 "$path of stack $stack got lost on its way; apply again"
      continue
    fi
    if [ -d "$target/$path" ] && [ ! -L "$target/$path" ]; then
      remove_stale "$path/"
      rmdir "$target/$path" 2>/dev/null || [ ! -d "$target/$path" ] || die 73 "$target/$path is a folder with other people's files; move it away"
    fi
    if [ -f "$target/$path" ] && [ ! -L "$target/$path" ] && cmp -s "$staged/$path" "$target/$path"; then
      chown --reference="$staged/$path" "$target/$path"
      chmod --reference="$staged/$path" "$target/$path"
    else
      mv -fT "$staged/$path" "$target/$path"
    fi
  done
}

# Removes what only the manifest before named, below a prefix or everywhere, and folders left empty.
remove_stale() {
  ours | while IFS= read -r path; do
    case $path in "${1:-}"*) ;; *) continue ;; esac
    ! grep -qxF "$path" "$wanted" || continue
    # A folder: the new release has one where the old had a file.
    [ -d "$target/$path" ] || rm -f "$target/$path"
    case $path in
      */*) (cd "$target" && [ ! -d "${path%/*}" ] || rmdir -p --ignore-fail-on-non-empty "${path%/*}" 2>/dev/null || true) ;;
    esac
  done
}

main() {
  [ $# = 2 ] || die 64 "usage: activate-stack.sh STACK DIGEST"
  stack=$1 digest=$2
  case $stack in '' | [!a-z0-9]* | *[!a-z0-9_-]*) die 64 "bad stack name '$stack'" ;; esac
  case $digest in '' | *[!0-9a-f]*) die 64 "bad digest '$digest'" ;; esac
  staged=$ROOT/incoming/$stack-$digest target=$ROOT/stacks/$stack releases=$ROOT/releases/$stack
  if [ ! -f "$staged/.manifest" ]; then
    [ "$(cat "$target/.digest" 2>/dev/null)" = "$digest" ] || die 66 "release $digest of stack $stack has not been received"
    rm -rf "$staged"
    return 0
  fi
  umask 022
  mkdir -p "$target"
  wanted=$staged/.wanted
  paths "$staged/.manifest" >"$wanted"
  keep_present
  cat "$staged/.manifest" >>"$target/.pending"
  sync "$target/.pending" "$target"
  place_folders
  place_files
  remove_stale
  # Onto the disk before the manifest says that it is.
  (cd "$target" && while IFS= read -r path; do printf '%s\0' "$path" "$(dirname "./$path")"; done <"$wanted" | sort -zu | xargs -0r sync)
  cp "$staged/.manifest" "$target/.manifest.tmp"
  chmod 0600 "$target/.manifest.tmp"
  echo "$digest" >"$target/.digest.tmp"
  sync "$target/.manifest.tmp" "$target/.digest.tmp"
  mv -fT "$target/.manifest.tmp" "$target/.manifest"
  mv -fT "$target/.digest.tmp" "$target/.digest"
  rm -f "$target/.pending"
  sync "$target"
  # The manifest goes last here as well: while it is there, another run starts over.
  find "$staged" -mindepth 1 -maxdepth 1 ! -name .manifest -exec rm -rf {} +
  rm -rf "$staged"
  [ ! -d "$releases" ] || find "$releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' |
    sort -rn | tail -n +$((KEEP + 1)) | cut -d' ' -f2- | while IFS= read -r old; do rm -rf "$old"; done
}

main "$@"
