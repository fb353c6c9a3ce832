#!/bin/sh
# The first start and every start of PostgreSQL, as the official image does them: variables POSTGRES_USER,
# POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD, each also as …_FILE (except the
# last); scripts in /docker-entrypoint-initdb.d run once.
set -eu

fail() { echo "docker-entrypoint.sh: $*" >&2; exit 1; }

# from_file NAME: let the variable NAME be read from the file that NAME_FILE names
from_file() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    [ -z "$value" ] || [ -z "$file" ] || fail "both $1 and $1_FILE are set"
    [ -z "$file" ] || value=$(cat "$file")
    [ -z "$value" ] || export "$1=$value"
    unset "$1_FILE"
}

create_cluster() {
    : "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    [ -n "${POSTGRES_PASSWORD:-}" ] || [ "$method" = trust ] \
        || fail "POSTGRES_PASSWORD must be set (or POSTGRES_HOST_AUTH_METHOD=trust)"
    umask 077
    printf '%s\n' "${POSTGRES_PASSWORD:-}" >/tmp/password
    password=
    [ -z "${POSTGRES_PASSWORD:-}" ] || password=--pwfile=/tmp/password
    # The arguments of initdb are meant to be split into words.
    # shellcheck disable=SC2086
    initdb -D "$PGDATA" -U "$POSTGRES_USER" $password --auth-local=trust --auth-host=scram-sha-256 --no-sync \
        ${POSTGRES_INITDB_ARGS:-} >/dev/null
    rm -f /tmp/password
    printf "listen_addresses = '*'\njit = off\n" >>"$PGDATA/postgresql.conf"
    echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
    if [ "$POSTGRES_DB" != postgres ]; then
        echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA" -j postgres >/dev/null
    fi
    run_first_start_scripts
    sync
    echo "PostgreSQL init process complete; ready for start up."
}

run_first_start_scripts() {
    set -- /docker-entrypoint-initdb.d/*
    [ -e "$1" ] || return 0
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start >/dev/null
    for script in "$@"; do
        echo "docker-entrypoint.sh: $script"
        case $script in
            *.sh) if [ -x "$script" ]; then "$script"; else sh "$script"; fi ;;
            *.sql) run_sql -f "$script" ;;
            *.sql.gz) gunzip -c "$script" | run_sql ;;
            *) echo "docker-entrypoint.sh: ignored $script" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
}

run_sql() {
    psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"
}

case ${1:-postgres} in
    postgres) ;;
    -*) set -- postgres "$@" ;;
    *) exec "$@" ;;
esac
# As root, like the official image: a secret that only root may read is read here.
for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file "$name"; done
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    # shellcheck disable=SC2016 # the words are for the shell of su
    exec su postgres -s /bin/sh -c 'exec "$0" "$@"' -- "$0" "$@"
fi
[ -s "$PGDATA/PG_VERSION" ] || create_cluster
exec "$@"
