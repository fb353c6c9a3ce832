# What the lab's scripts share: where its artefacts lie and how they get there whole. Sourced, never run.
# shellcheck shell=bash

# shellcheck disable=SC2034
lab=${PROVISION_LAB_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/provision-lab}

# The port of the package repository on the host's loopback; the machines reach it at 10.0.2.2. The images contain it.
# shellcheck disable=SC2034
apt_port=42077

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# digest_of FILE...: one name for the contents of all these files
digest_of() {
    sha256sum -- "$@" | sed 's| .*/| |' | sha256sum | cut -c 1-12
}
