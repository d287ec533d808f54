#!/bin/sh
# Installs the servers that tests run against besides the embedded ones: Debian's PostgreSQL 15.
# As root, or as a user who may use sudo without a password. Where neither is so, it says that those tests will be skipped.
set -u

if [ -x /usr/lib/postgresql/15/bin/initdb ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    AS_ROOT=""
elif sudo -n true 2>/dev/null; then
    AS_ROOT="sudo -n"
else
    echo "PostgreSQL 15 is not here and only root can install it: the tests on it will be skipped." >&2
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "PostgreSQL 15 is not here and there is no apt-get to install it with: the tests on it will be skipped." >&2
    exit 0
fi
# The package must not start a cluster of its own.
$AS_ROOT mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" | $AS_ROOT tee /etc/postgresql-common/createcluster.conf >/dev/null
($AS_ROOT apt-get update -qq && $AS_ROOT env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql-15) >/dev/null ||
    echo "PostgreSQL 15 could not be installed: the tests on it will be skipped." >&2
