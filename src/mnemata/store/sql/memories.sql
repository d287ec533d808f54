-- name: insert
-- Stores new memories with their first versions and changes. One whose external_id is in use is left out.
WITH given AS MATERIALIZED (
    SELECT *
    FROM json_to_recordset(%(memories)s::json) AS g (
        id uuid, version bigint, importance double precision, created_at timestamptz, updated_at timestamptz,
        occurred_at timestamptz, expires_at timestamptz, deleted_at timestamptz, sequence bigint, superseded_by uuid,
        tenant text, kind text, user_id text, agent_id text, session_id text, role text, source text,
        external_id text, tags text[], metadata text, attributes text[], term_hashes bigint[], content_hash bytea,
        embedding_key bytea, content text
    )
),
added AS (
    INSERT INTO memories AS m (
        id, version, importance, created_at, updated_at, occurred_at, expires_at, deleted_at, sequence, superseded_by,
        tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags, metadata, attributes,
        term_hashes, content_hash, embedding_key, content
    )
    SELECT
        id, version, importance, created_at, updated_at, occurred_at, expires_at, deleted_at, sequence, superseded_by,
        tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags, metadata::json, attributes,
        term_hashes, content_hash, embedding_key, content
    FROM given
    -- Everybody takes external ids in one order, so that two batches with the same ones never wait for each other.
    ORDER BY external_id, id
    ON CONFLICT (tenant, external_id) WHERE external_id IS NOT NULL DO NOTHING
    RETURNING m.id
),
kept AS (
    INSERT INTO versions (
        memory_id, version, recorded_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence,
        superseded_by, operation, tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags,
        metadata, attributes, content_hash, embedding_key, content
    )
    SELECT
        id, version, updated_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence,
        superseded_by, %(operation)s, tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags,
        metadata::json, attributes, content_hash, embedding_key, content
    FROM given JOIN added USING (id)
    ORDER BY id
),
announced AS (
    INSERT INTO changes AS c (memory_id, recorded_at, version, operation, tenant)
    SELECT id, updated_at, version, %(operation)s, tenant
    FROM given JOIN added USING (id)
    ORDER BY id
    RETURNING c.memory_id, c.xid, c.seq
)
SELECT memory_id, xid::text::bigint, seq
FROM announced
ORDER BY seq

-- name: replace
-- Stores the next version of memories that are still at the version before, with their versions and changes.
WITH given AS MATERIALIZED (
    SELECT *
    FROM json_to_recordset(%(memories)s::json) AS g (
        id uuid, version bigint, importance double precision, created_at timestamptz, updated_at timestamptz,
        occurred_at timestamptz, expires_at timestamptz, deleted_at timestamptz, sequence bigint, superseded_by uuid,
        tenant text, kind text, user_id text, agent_id text, session_id text, role text, source text,
        external_id text, tags text[], metadata text, attributes text[], term_hashes bigint[], content_hash bytea,
        embedding_key bytea, content text
    )
),
changed AS (
    UPDATE memories AS m
    SET (
        version, importance, updated_at, occurred_at, expires_at, deleted_at, sequence, superseded_by, kind, user_id,
        agent_id, session_id, role, source, external_id, tags, metadata, attributes, term_hashes, content_hash,
        embedding_key, content
    ) = (
        g.version, g.importance, g.updated_at, g.occurred_at, g.expires_at, g.deleted_at, g.sequence, g.superseded_by,
        g.kind, g.user_id, g.agent_id, g.session_id, g.role, g.source, g.external_id, g.tags, g.metadata::json,
        g.attributes, g.term_hashes, g.content_hash, g.embedding_key, g.content
    )
    FROM given AS g
    WHERE m.id = g.id AND m.version = g.version - 1
    RETURNING m.id
),
closed AS (
    UPDATE versions AS v
    SET replaced_at = g.updated_at
    FROM given AS g JOIN changed USING (id)
    WHERE v.memory_id = g.id AND v.version = g.version - 1
),
kept AS (
    INSERT INTO versions (
        memory_id, version, recorded_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence,
        superseded_by, operation, tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags,
        metadata, attributes, content_hash, embedding_key, content
    )
    SELECT
        id, version, updated_at, importance, created_at, occurred_at, expires_at, deleted_at, sequence,
        superseded_by, %(operation)s, tenant, kind, user_id, agent_id, session_id, role, source, external_id, tags,
        metadata::json, attributes, content_hash, embedding_key, content
    FROM given JOIN changed USING (id)
),
announced AS (
    INSERT INTO changes AS c (memory_id, recorded_at, version, operation, tenant)
    SELECT id, updated_at, version, %(operation)s, tenant
    FROM given JOIN changed USING (id)
    RETURNING c.memory_id, c.xid, c.seq
)
SELECT memory_id, xid::text::bigint, seq
FROM announced

-- name: actual_versions
-- Gives the versions that memories are at.
SELECT id, version FROM memories WHERE id = ANY(%(ids)s::uuid[])

-- name: get_many
-- Reads memories by id, whatever their state.
SELECT {columns} FROM memories AS m WHERE m.id = ANY(%(ids)s::uuid[])

-- name: lock_many
-- Reads memories by id, whatever their state, and locks their rows until the transaction ends.
SELECT {columns} FROM memories AS m WHERE m.id = ANY(%(ids)s::uuid[]) ORDER BY m.id FOR UPDATE

-- name: by_external_ids
-- Reads memories by the caller's own keys, whatever their state.
SELECT {columns}
FROM memories AS m
WHERE m.tenant = %(tenant)s AND m.external_id = ANY(%(external_ids)s::text[])

-- name: lock_by_external_ids
-- Reads memories by the caller's own keys and locks their rows, in the order of ids as everybody who locks several.
SELECT {columns}
FROM memories AS m
WHERE m.tenant = %(tenant)s AND m.external_id = ANY(%(external_ids)s::text[])
ORDER BY m.id
FOR UPDATE

-- name: page
-- Reads one page of memories that default reads see, by keyset.
SELECT {columns}
FROM own_memories AS m
WHERE m.tenant = %(tenant)s
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(now)s)
  AND {condition} AND {beyond}
ORDER BY {order}
LIMIT %(limit)s

-- name: page_as_of
-- Reads one page of memories as default reads saw them at a moment.
SELECT {columns}
FROM versions AS m
WHERE m.tenant = %(tenant)s
  AND m.recorded_at <= %(moment)s AND (m.replaced_at IS NULL OR m.replaced_at > %(moment)s)
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(moment)s)
  AND {condition} AND {beyond}
ORDER BY {order}
LIMIT %(limit)s

-- name: count
-- Counts the memories that default reads see.
SELECT count(*)
FROM own_memories AS m
WHERE m.tenant = %(tenant)s
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(now)s)
  AND {condition}

-- name: count_as_of
-- Counts the memories that default reads saw at a moment.
SELECT count(*)
FROM versions AS m
WHERE m.tenant = %(tenant)s
  AND m.recorded_at <= %(moment)s AND (m.replaced_at IS NULL OR m.replaced_at > %(moment)s)
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(moment)s)
  AND {condition}

-- name: ids_matching
-- Finds the first memories, by age, that default reads see.
SELECT m.id
FROM own_memories AS m
WHERE m.tenant = %(tenant)s
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(now)s)
  AND {condition}
ORDER BY m.created_at, m.id
LIMIT %(limit)s

-- name: lock_matching
-- Finds the first memories, by age, that default reads see, and locks them: what changed meanwhile is looked at again.
WITH found AS MATERIALIZED (
    SELECT m.id
    FROM own_memories AS m
    WHERE m.tenant = %(tenant)s
      AND m.deleted_at IS NULL AND m.superseded_by IS NULL
      AND (m.expires_at IS NULL OR m.expires_at > %(now)s)
      AND {condition}
    ORDER BY m.created_at, m.id
    LIMIT %(limit)s
)
SELECT m.id
FROM memories AS m JOIN found USING (id)
WHERE m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(now)s)
  AND {condition}
ORDER BY m.id
FOR UPDATE OF m

-- name: history
-- Reads every version of a memory, the newest first.
SELECT {columns}, v.operation
FROM versions AS v
WHERE v.memory_id = %(id)s
ORDER BY v.version DESC

-- name: version
-- Reads one version of a memory.
SELECT {columns}, v.operation
FROM versions AS v
WHERE v.memory_id = %(id)s AND v.version = %(version)s

-- name: as_of
-- Reads memories by id as default reads saw them at a moment.
SELECT DISTINCT ON (v.memory_id) {columns}
FROM versions AS v
WHERE v.memory_id = ANY(%(ids)s::uuid[])
  AND v.recorded_at <= %(moment)s AND (v.replaced_at IS NULL OR v.replaced_at > %(moment)s)
  AND v.deleted_at IS NULL
  AND (v.expires_at IS NULL OR v.expires_at > %(moment)s)
ORDER BY v.memory_id, v.version DESC
