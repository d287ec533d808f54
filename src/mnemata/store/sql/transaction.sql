-- name: begin
-- Begins a transaction.
BEGIN

-- name: settle
-- Takes the role and the tenant for row-level security, and the limits, all for this transaction only: a pooler between
-- us and the server may give the next transaction to another.
SELECT
    set_config('mnemata.tenant', %(tenant)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, true),
    set_config('role', %(role)s, true)

-- name: begin_settled
-- As `begin` and `settle`, in one request without a pipeline.
BEGIN; SELECT
    set_config('mnemata.tenant', {tenant}, true),
    set_config('statement_timeout', {statement_timeout}, true),
    set_config('lock_timeout', {lock_timeout}, true),
    set_config('idle_in_transaction_session_timeout', {idle_timeout}, true),
    set_config('role', {role}, true)

-- name: commit
-- Commits.
COMMIT

-- name: rollback
-- Rolls back.
ROLLBACK

-- name: notify
-- Wakes the readers of the change feed.
SELECT pg_notify(%(channel)s, '')

-- name: listen
-- Asks for the notifications of a channel.
LISTEN {channel}

-- name: backend
-- Names the server process that serves this connection at the moment.
SELECT pg_backend_pid()

-- name: utc
-- Gives times in UTC.
SET TIME ZONE 'UTC'

-- name: ping
-- Answers.
SELECT 1

-- name: time
-- Says what time it is, at this moment and not when the transaction began.
SELECT clock_timestamp()
