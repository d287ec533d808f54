-- name: reach
-- Tells whether the login sees every row whatever the row-level security, and whether it may act for the platform; no row
-- where there is no platform.
SELECT r.rolsuper OR r.rolbypassrls, pg_has_role(r.oid, 'mnemata_platform', 'USAGE')
FROM pg_roles AS r
WHERE r.rolname = current_user
  AND to_regrole('mnemata_platform') IS NOT NULL AND to_regclass('public.feed_epoch') IS NOT NULL

-- name: tables
-- Lists the tables that a backup holds, in the order of their names.
SELECT c.relname, pg_total_relation_size(c.oid)
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname

-- name: count
-- Counts the rows of a table.
SELECT count(*) FROM {table}

-- name: unlimited
-- Lifts the limits in time for this transaction: others read its snapshot for as long as they need.
SELECT
    set_config('statement_timeout', '0', true),
    set_config('idle_in_transaction_session_timeout', '0', true),
    set_config('lock_timeout', '10s', true)

-- name: snapshot
-- Lends this transaction's view of the data to other sessions.
SELECT pg_export_snapshot(), current_setting('server_version')
