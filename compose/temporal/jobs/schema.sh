#!/bin/sh
# Makes the tables of both databases where there are none, and brings them to the version of this image.
set -eu
schema=/etc/temporal/schema/postgresql/v12

# migrate DATABASE FOLDER: the database's owner has its name
migrate() {
  SQL_PASSWORD=$(cat "/run/secrets/$1")
  export SQL_PASSWORD
  set -- "$2" --plugin postgres12 --ep postgres --port 5432 --user "$1" --db "$1"
  folder=$1
  shift
  # Fails where the tables are; whether they are right, the update says.
  temporal-sql-tool "$@" setup-schema --version 0.0 || true
  temporal-sql-tool "$@" update-schema --schema-dir "$schema/$folder/versioned"
}

migrate temporal temporal
migrate temporal_visibility visibility
