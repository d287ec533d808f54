#!/bin/sh
# Run once by PostgreSQL's image, on an empty volume: the login and the database that Mnemata's page asks for.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$DATABASE_PASSWORD" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE mnemata LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE mnemata OWNER mnemata;
SQL
