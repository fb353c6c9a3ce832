#!/bin/sh
# Makes each namespace of $NAMESPACES that is not there yet. Never removes one.
set -eu
for namespace in $NAMESPACES; do
  temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$namespace" --retention "$RETENTION"
  echo "namespace $namespace is there"
done
