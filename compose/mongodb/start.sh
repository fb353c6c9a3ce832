#!/bin/sh
# mongod takes no key that others could read, and its members know each other by one.
set -eu
install -m 0400 /run/secrets/keyfile /tmp/keyfile
exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /tmp/keyfile --bind_ip_all --wiredTigerCacheSizeGB "$CACHE_GB"
