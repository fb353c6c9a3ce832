#!/bin/bash
# The password is a variable of this process, and in nobody's list of containers.
set -euo pipefail
ELASTIC_PASSWORD=$(</run/secrets/password)
export ELASTIC_PASSWORD
exec /usr/local/bin/docker-entrypoint.sh eswrapper
