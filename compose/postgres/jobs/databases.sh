#!/bin/sh
# Makes a user and a database of the same name for each line "name password" of /run/secrets/databases, a user and a schema
# of the same name in $SCHEMA_DATABASE for each of /run/secrets/schemas; sets the password of those that are there, and that
# of the superuser. Never drops anything.
set -eu

# Over standard input: arguments can be read by everybody on the host.
sql() { psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname "${1:-postgres}"; }
quoted() { sed "s/'/''/g"; }

# user NAME PASSWORD
user() {
  password=$(printf %s "$2" | quoted)
  sql <<SQL
SELECT 'CREATE ROLE "$1" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$1')\gexec
ALTER ROLE "$1" PASSWORD '$password';
SQL
}

# database NAME OWNER
database() {
  sql <<SQL
SELECT 'CREATE DATABASE "$1" OWNER "$2"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$1')\gexec
REVOKE CONNECT ON DATABASE "$1" FROM PUBLIC;
SQL
}

# schema NAME: owned by the user of that name, who is in it without naming it
schema() {
  sql "$SCHEMA_DATABASE" <<SQL
GRANT CONNECT ON DATABASE "$SCHEMA_DATABASE" TO "$1";
CREATE SCHEMA IF NOT EXISTS "$1" AUTHORIZATION "$1";
ALTER ROLE "$1" IN DATABASE "$SCHEMA_DATABASE" SET search_path = "$1";
SQL
}

password=$(quoted </run/secrets/password)
sql <<SQL
ALTER ROLE "$PGUSER" PASSWORD '$password';
SQL

while IFS=' ' read -r name password; do
  [ -n "$name" ] || continue
  user "$name" "$password"
  database "$name" "$name"
  echo "database $name is there"
done </run/secrets/databases

while IFS=' ' read -r name password; do
  [ -n "$name" ] || continue
  user "$name" "$password"
  database "$SCHEMA_DATABASE" "$PGUSER"
  schema "$name"
  echo "schema $name is there"
done </run/secrets/schemas
