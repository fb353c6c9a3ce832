#!/bin/bash
# Keycloak takes passwords from variables only; those of this process are in nobody's list of containers.
set -euo pipefail
KC_DB_PASSWORD=$(</run/secrets/database)
KC_BOOTSTRAP_ADMIN_PASSWORD=$(</run/secrets/admin)
export KC_DB_PASSWORD KC_BOOTSTRAP_ADMIN_PASSWORD
if [ -n "$KEYCLOAK_HOSTNAME" ]; then
  export KC_HOSTNAME=$KEYCLOAK_HOSTNAME
else
  export KC_HOSTNAME_STRICT=false
fi
exec /opt/keycloak/bin/kc.sh start --import-realm
