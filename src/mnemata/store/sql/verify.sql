-- name: memories
-- Compares the next memories, whatever their state, with their own hashes, their versions and the feed, in one snapshot.
SELECT
    m.id, m.tenant, m.version,
    sha256(convert_to(m.content, 'UTF8')) = m.content_hash,
    sha256(convert_to(coalesce(nullif(m.role, '') || ': ', '') || m.content, 'UTF8')) = m.embedding_key,
    h.versions, h.lowest, h.highest, h.broken, h.loose,
    CASE WHEN v.memory_id IS NULL THEN NULL ELSE array_remove(ARRAY[
        CASE WHEN m.content IS DISTINCT FROM v.content THEN 'content' END,
        CASE WHEN m.content_hash IS DISTINCT FROM v.content_hash THEN 'content_hash' END,
        CASE WHEN m.tenant IS DISTINCT FROM v.tenant THEN 'tenant' END,
        CASE WHEN m.kind IS DISTINCT FROM v.kind THEN 'kind' END,
        CASE WHEN m.user_id IS DISTINCT FROM v.user_id THEN 'user_id' END,
        CASE WHEN m.agent_id IS DISTINCT FROM v.agent_id THEN 'agent_id' END,
        CASE WHEN m.session_id IS DISTINCT FROM v.session_id THEN 'session_id' END,
        CASE WHEN m.sequence IS DISTINCT FROM v.sequence THEN 'sequence' END,
        CASE WHEN m.role IS DISTINCT FROM v.role THEN 'role' END,
        CASE WHEN m.tags IS DISTINCT FROM v.tags THEN 'tags' END,
        CASE WHEN m.metadata::text IS DISTINCT FROM v.metadata::text THEN 'metadata' END,
        CASE WHEN m.attributes IS DISTINCT FROM v.attributes THEN 'attributes' END,
        CASE WHEN m.importance IS DISTINCT FROM v.importance THEN 'importance' END,
        CASE WHEN m.source IS DISTINCT FROM v.source THEN 'source' END,
        CASE WHEN m.external_id IS DISTINCT FROM v.external_id THEN 'external_id' END,
        CASE WHEN m.occurred_at IS DISTINCT FROM v.occurred_at THEN 'occurred_at' END,
        CASE WHEN m.created_at IS DISTINCT FROM v.created_at THEN 'created_at' END,
        CASE WHEN m.updated_at IS DISTINCT FROM v.recorded_at THEN 'updated_at' END,
        CASE WHEN m.expires_at IS DISTINCT FROM v.expires_at THEN 'expires_at' END,
        CASE WHEN m.superseded_by IS DISTINCT FROM v.superseded_by THEN 'superseded_by' END,
        CASE WHEN m.deleted_at IS DISTINCT FROM v.deleted_at THEN 'deleted_at' END
    ], NULL) END,
    EXISTS (SELECT FROM tenants AS t WHERE t.id = m.tenant)
FROM memories AS m
LEFT JOIN versions AS v ON v.memory_id = m.id AND v.version = m.version
CROSS JOIN LATERAL (
    SELECT
        count(*) AS versions, min(o.version) AS lowest, max(o.version) AS highest,
        array_agg(o.version ORDER BY o.version)
            FILTER (WHERE sha256(convert_to(o.content, 'UTF8')) <> o.content_hash) AS broken,
        array_agg(o.version ORDER BY o.version) FILTER (WHERE o.replaced_at IS DISTINCT FROM o.followed_at) AS loose
    FROM (
        SELECT
            w.version, w.content, w.content_hash, w.replaced_at,
            lead(w.recorded_at) OVER (ORDER BY w.version) AS followed_at
        FROM versions AS w
        WHERE w.memory_id = m.id
    ) AS o
) AS h
WHERE m.id > %(after)s::uuid
ORDER BY m.id
LIMIT %(limit)s

-- name: untold
-- Finds the next memories of one of sixteen slices whose current versions the feed does not tell of, in one snapshot.
SELECT m.id, m.tenant, m.version
FROM memories AS m
WHERE get_byte(uuid_send(m.id), 15) & 15 = %(slice)s AND m.id > %(after)s::uuid
  AND NOT EXISTS (
      SELECT FROM changes AS c
      WHERE get_byte(uuid_send(c.memory_id), 15) & 15 = %(slice)s AND c.memory_id = m.id AND c.version = m.version
  )
ORDER BY m.id
LIMIT %(limit)s

-- name: orphans
-- Finds the next versions of one of sixteen slices that are of no memory.
SELECT v.memory_id, v.tenant, v.version
FROM versions AS v
WHERE get_byte(uuid_send(v.memory_id), 15) & 15 = %(slice)s
  AND (v.memory_id, v.version) > (%(after)s::uuid, %(version)s::bigint)
  AND NOT EXISTS (SELECT FROM memories AS m WHERE m.id = v.memory_id)
ORDER BY v.memory_id, v.version
LIMIT %(limit)s

-- name: vectors
-- Reads the next vectors of all tenants and spaces.
SELECT e.tenant, e.space, e.key, e.dimensions, e.vector, e.checksum
FROM embeddings AS e
WHERE (e.tenant, e.space, e.key) > (%(tenant)s, %(space)s, %(key)s)
ORDER BY e.tenant, e.space, e.key
LIMIT %(limit)s

-- name: memory_of_vector
-- Names memories whose current text a vector is of.
SELECT m.id
FROM versions AS v
JOIN memories AS m ON m.id = v.memory_id AND m.version = v.version
WHERE v.embedding_key = %(key)s AND v.tenant = %(tenant)s AND m.deleted_at IS NULL AND m.superseded_by IS NULL
ORDER BY m.id
LIMIT %(limit)s

-- name: drop_vector
-- Takes away a vector that is not what it should be, so that it is made again.
DELETE FROM embeddings WHERE tenant = %(tenant)s AND space = %(space)s AND key = %(key)s

-- name: content_from_version
-- Puts a memory's content in order from its newest version, where that one has its own hash.
UPDATE memories AS m SET content = v.content, content_hash = v.content_hash
FROM versions AS v
WHERE m.id = %(id)s AND m.version = %(version)s AND v.memory_id = m.id AND v.version = m.version
  AND sha256(convert_to(v.content, 'UTF8')) = v.content_hash
RETURNING m.id

-- name: version_from_memory
-- Puts the content of a memory's newest version in order from the memory, where that one has its own hash.
UPDATE versions AS v SET content = m.content, content_hash = m.content_hash
FROM memories AS m
WHERE m.id = %(id)s AND m.version = %(version)s AND v.memory_id = m.id AND v.version = m.version
  AND sha256(convert_to(m.content, 'UTF8')) = m.content_hash
RETURNING m.id

-- name: embedding_key
-- Computes again under which key a memory's vector is.
UPDATE memories AS m
SET embedding_key = sha256(convert_to(coalesce(nullif(m.role, '') || ': ', '') || m.content, 'UTF8'))
WHERE m.id = %(id)s AND m.version = %(version)s
RETURNING m.id
