#!/bin/sh
# The settings go in over standard input: arguments can be read by everybody on the host.
set -eu
exec redis-server - <<END
dir /data
appendonly yes
maxmemory $MAXMEMORY
maxmemory-policy $EVICTION
protected-mode no
requirepass "$(cat /run/secrets/password)"
END
