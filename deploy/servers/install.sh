#!/bin/sh
# Installs the servers that `make test` and `make fleet` run besides the embedded ones: Debian's PostgreSQL 15, PgBouncer,
# Redis 7, haproxy and faketime, and what fetches and runs search nodes (Maven, Java). As root, or as a user who may use sudo without
# a password. Where neither is so, it says what is missing and goes on: tests that need it are skipped.
set -u

missing=""
[ -x /usr/lib/postgresql/15/bin/initdb ] || missing="postgresql-15"
command -v redis-server >/dev/null && command -v redis-cli >/dev/null || missing="$missing redis-server"
[ -x /usr/sbin/pgbouncer ] || missing="$missing pgbouncer"
[ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
command -v faketime >/dev/null || missing="$missing faketime"
command -v mvn >/dev/null && command -v java >/dev/null || missing="$missing maven"
missing="${missing# }"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    AS_ROOT=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    AS_ROOT="sudo -n"
else
    echo "Not here, and only root can install it: apt-get install $missing. Tests on it will be skipped." >&2
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "Not here, and there is no apt-get to install it with: $missing. Tests on it will be skipped." >&2
    exit 0
fi
echo "Installing $missing"
# The packages must not start servers of their own.
$AS_ROOT mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" | $AS_ROOT tee /etc/postgresql-common/createcluster.conf >/dev/null
# shellcheck disable=SC2086 # several packages are several words
($AS_ROOT apt-get update -qq &&
    $AS_ROOT env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq $missing) >/dev/null ||
    echo "Could not be installed: $missing. Tests on it will be skipped." >&2
