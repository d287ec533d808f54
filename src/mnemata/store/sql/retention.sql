-- name: scan
-- Reads the next ids of the memories that default reads may see.
SELECT m.id
FROM memories AS m
WHERE m.id > %(after)s::uuid AND m.deleted_at IS NULL AND m.superseded_by IS NULL
ORDER BY m.id
LIMIT %(limit)s

-- name: memories_in_all
-- Counts the memories of all tenants that default reads may see.
SELECT count(*) FROM memories WHERE deleted_at IS NULL AND superseded_by IS NULL

-- name: next_expiry
-- Finds when the next memory expires.
SELECT min(expires_at) FROM memories WHERE deleted_at IS NULL AND expires_at IS NOT NULL

-- name: lock_expired
-- Finds memories whose time has come, and locks them. Those that somebody is changing at this moment are left for the next
-- time.
SELECT m.id
FROM memories AS m
WHERE m.deleted_at IS NULL AND m.expires_at <= %(now)s
ORDER BY m.expires_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: expire
-- Marks memories that are locked as deleted, where their time has come, with a version and a change each.
WITH ended AS (
    UPDATE memories AS m
    SET
        deleted_at = greatest(%(now)s, m.updated_at), updated_at = greatest(%(now)s, m.updated_at),
        version = m.version + 1
    WHERE m.id = ANY(%(ids)s::uuid[]) AND m.deleted_at IS NULL AND m.expires_at <= %(now)s
    RETURNING
        m.id, m.version, m.updated_at, m.importance, m.created_at, m.occurred_at, m.expires_at, m.deleted_at,
        m.sequence, m.superseded_by, m.tenant, m.kind, m.user_id, m.agent_id, m.session_id, m.role, m.source,
        m.external_id, m.tags, m.metadata, m.attributes, m.content_hash, m.embedding_key, m.content
),
closed AS (
    UPDATE versions AS v SET replaced_at = e.updated_at
    FROM ended AS e
    WHERE v.memory_id = e.id AND v.version = e.version - 1
),
kept AS (
    INSERT INTO versions (
        memory_id, version, recorded_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence,
        superseded_by, operation, tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags,
        metadata, attributes, content_hash, embedding_key, content
    )
    SELECT
        id, version, updated_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence,
        superseded_by, 'expired', tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags,
        metadata, attributes, content_hash, embedding_key, content
    FROM ended
)
INSERT INTO changes AS c (memory_id, recorded_at, version, operation, tenant)
SELECT id, updated_at, version, 'expired', tenant FROM ended ORDER BY id
RETURNING c.memory_id

-- name: purge_alone
-- Waits for the purge of another transaction, and holds up others until this one ends.
SELECT pg_advisory_xact_lock(%(lock)s::bigint)

-- name: purge_due
-- Erases memories that were deleted before a moment: contents, versions, and the vectors that no other memory of the
-- tenant uses. A change row tells the indexes.
WITH due AS MATERIALIZED (
    SELECT m.id
    FROM memories AS m
    WHERE m.deleted_at < %(before)s
    ORDER BY m.deleted_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
texts AS MATERIALIZED (
    SELECT DISTINCT v.tenant, v.embedding_key
    FROM versions AS v JOIN due ON due.id = v.memory_id
    -- The rows of this statement's own deletions are still seen by it.
    WHERE NOT EXISTS (
        SELECT FROM versions AS o
        WHERE o.embedding_key = v.embedding_key AND o.tenant = v.tenant
          AND o.memory_id NOT IN (SELECT id FROM due)
    )
),
erased AS (
    DELETE FROM memories AS m USING due WHERE m.id = due.id
    RETURNING m.id, m.version, m.tenant
),
unused AS (
    DELETE FROM embeddings AS e
    USING texts AS t, (SELECT DISTINCT space FROM unnest(%(spaces)s::text[]) AS s (space)) AS s
    WHERE e.tenant = t.tenant AND e.space = s.space AND e.key = t.embedding_key
),
unpoisoned AS (
    DELETE FROM poison_changes AS p USING due WHERE p.memory_id = due.id
)
INSERT INTO changes AS c (memory_id, recorded_at, version, operation, tenant)
SELECT id, %(now)s, version, 'purged', tenant FROM erased ORDER BY id
RETURNING c.memory_id
