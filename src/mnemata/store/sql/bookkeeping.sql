-- name: claim
-- Takes an idempotency key, or gives what it was taken for. Its row stays locked until the transaction ends, so that a
-- second request with the key waits for the first. An expired key is taken like a new one.
INSERT INTO idempotency_keys AS k (tenant, key, fingerprint, expires_at)
VALUES (%(tenant)s, %(key)s, %(fingerprint)s, %(expires_at)s)
ON CONFLICT (tenant, key) DO UPDATE SET
    fingerprint = CASE WHEN k.expires_at <= %(now)s THEN excluded.fingerprint ELSE k.fingerprint END,
    outcome = CASE WHEN k.expires_at <= %(now)s THEN NULL ELSE k.outcome END,
    expires_at = CASE WHEN k.expires_at <= %(now)s THEN excluded.expires_at ELSE k.expires_at END
RETURNING fingerprint, outcome

-- name: keep
-- Stores what the write under an idempotency key made.
UPDATE idempotency_keys SET outcome = %(outcome)s WHERE tenant = %(tenant)s AND key = %(key)s

-- name: drop_keys
-- Forgets idempotency keys that have expired.
DELETE FROM idempotency_keys WHERE expires_at <= %(now)s

-- name: record_poison
-- Sets a change aside, or counts another failure of its memory.
INSERT INTO poison_changes AS p
    (memory_id, version, xid, seq, recorded_at, first_seen, last_seen, tenant, operation, code)
VALUES (
    %(memory_id)s, %(version)s, %(xid)s::text::xid8, %(seq)s, %(recorded_at)s, %(now)s, %(now)s, %(tenant)s,
    %(operation)s, %(code)s
)
ON CONFLICT (memory_id) DO UPDATE SET
    version = excluded.version, xid = excluded.xid, seq = excluded.seq, recorded_at = excluded.recorded_at,
    operation = excluded.operation, code = excluded.code, last_seen = excluded.last_seen, attempts = p.attempts + 1

-- name: list_poison
-- Lists the changes that were set aside, the latest failure first.
SELECT p.xid::text::bigint, p.seq, p.tenant, p.memory_id, p.version, p.operation, p.recorded_at, p.code, p.attempts,
       p.first_seen, p.last_seen
FROM poison_changes AS p
ORDER BY p.last_seen DESC, p.memory_id
LIMIT %(limit)s

-- name: count_poison
-- Counts the changes that were set aside.
SELECT count(*) FROM poison_changes

-- name: poison_codes
-- Tells why memories were set aside.
SELECT p.memory_id, p.code FROM poison_changes AS p WHERE p.memory_id = ANY(%(ids)s::uuid[])

-- name: take_poison
-- Takes the next changes, by memory, out of those that were set aside: of all, or of some.
DELETE FROM poison_changes AS p
WHERE p.memory_id IN (
    SELECT q.memory_id
    FROM poison_changes AS q
    WHERE q.memory_id > %(after)s::uuid AND (%(ids)s::uuid[] IS NULL OR q.memory_id = ANY(%(ids)s::uuid[]))
    ORDER BY q.memory_id
    LIMIT %(limit)s
)
RETURNING p.xid::text::bigint, p.seq, p.tenant, p.memory_id, p.version, p.operation, p.recorded_at, p.code, p.attempts,
          p.first_seen, p.last_seen

-- name: clear_poison
-- Forgets the failure of memories that are in the index now.
DELETE FROM poison_changes WHERE memory_id = ANY(%(ids)s::uuid[])

-- name: report_position
-- Notes how far an index has come.
INSERT INTO index_positions (name, epoch, xid, seq, updated_at)
VALUES (%(name)s, %(epoch)s, %(xid)s::text::xid8, %(seq)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET
    epoch = excluded.epoch, xid = excluded.xid, seq = excluded.seq, updated_at = excluded.updated_at

-- name: list_positions
-- Lists how far the indexes have come.
SELECT name, epoch, xid::text::bigint, seq, updated_at FROM index_positions ORDER BY name

-- name: forget_position
-- Forgets what an index that was deleted has said.
DELETE FROM index_positions WHERE name = %(name)s

-- name: statistics
-- Tells what is stored: tenants by count, the rest by estimates, because counting would read everything. An estimate is
-- what was counted last or what was written since the server started, whichever is more.
SELECT
    current_setting('server_version'),
    pg_database_size(current_database()),
    (SELECT jsonb_object_agg(relname, greatest(reltuples::bigint, pg_stat_get_live_tuples(oid), 0))
     FROM pg_class WHERE oid = ANY(ARRAY[
         'memories'::regclass, 'versions'::regclass, 'changes'::regclass, 'embeddings'::regclass
     ])),
    (SELECT count(*) FROM tenants)
