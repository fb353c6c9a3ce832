#!/bin/sh
# Temporal takes passwords from variables only; those of this process are in nobody's list of containers.
set -eu
POSTGRES_PWD=$(cat /run/secrets/temporal)
VISIBILITY_POSTGRES_PWD=$(cat /run/secrets/temporal_visibility)
export POSTGRES_PWD VISIBILITY_POSTGRES_PWD
exec /etc/temporal/entrypoint.sh
