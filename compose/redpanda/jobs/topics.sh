#!/bin/bash
# Makes each topic of $TOPICS that is not there yet. Never changes or removes one.
set -euo pipefail
there=$(rpk topic list --brokers redpanda:9092 | awk 'NR > 1 { print $1 }')
for topic in $TOPICS; do
  if ! grep -qxF "$topic" <<<"$there"; then
    rpk topic create "$topic" --brokers redpanda:9092 --partitions "$PARTITIONS" --replicas 1
  fi
  echo "topic $topic is there"
done
