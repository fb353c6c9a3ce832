#!/bin/sh
# Makes a user and a database of the same name for each line "name password" of /run/secrets/databases; sets the password
# of those that are there, and that of the superuser. Never drops anything.
set -eu

# Over standard input: arguments can be read by everybody on the host.
sql() { psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres; }
quoted() { sed "s/'/''/g"; }

password=$(quoted </run/secrets/password)
sql <<SQL
ALTER ROLE "$PGUSER" PASSWORD '$password';
SQL

while IFS=' ' read -r name password; do
  [ -n "$name" ] || continue
  quoted=$(printf %s "$password" | quoted)
  sql <<SQL
SELECT 'CREATE ROLE "$name" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$name')\gexec
ALTER ROLE "$name" PASSWORD '$quoted';
SELECT 'CREATE DATABASE "$name" OWNER "$name"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$name')\gexec
REVOKE CONNECT ON DATABASE "$name" FROM PUBLIC;
SQL
  echo "database $name is there"
done </run/secrets/databases
