#!/bin/sh
# For each line "name password": a bucket, a user of that name, and a policy that lets it into this bucket only. May run
# again at any time; never removes anything.
set -eu
MC_HOST_minio="http://admin:$(cat /run/secrets/password)@minio:9000"
export MC_HOST_minio

while IFS=' ' read -r name password; do
  [ -n "$name" ] || continue
  mc mb --ignore-existing "minio/$name"
  # Over standard input: arguments can be read by everybody on the host.
  printf '%s\n%s\n' "$name" "$password" | mc admin user add minio
  cat >"/tmp/$name.json" <<JSON
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"],
  "Resource": ["arn:aws:s3:::$name", "arn:aws:s3:::$name/*"]}]}
JSON
  mc admin policy create minio "$name" "/tmp/$name.json"
  mc admin policy attach minio "$name" --user "$name" || mc admin policy entities minio --user "$name" | grep -qF "$name"
  echo "bucket $name is there"
done </run/secrets/buckets
