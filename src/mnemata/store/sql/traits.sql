-- name: latest_of_user
-- Reads what the newest memories of one user are like, of those that default reads see, each with its vector.
SELECT m.id, m.user_id, m.tags, m.created_at, e.vector
FROM (
    SELECT n.id, n.tenant, n.user_id, n.tags, n.created_at, n.embedding_key
    FROM memories AS n
    WHERE n.tenant = %(tenant)s AND n.user_id = %(user)s
      AND n.deleted_at IS NULL AND n.superseded_by IS NULL
      AND (n.expires_at IS NULL OR n.expires_at > %(moment)s)
    ORDER BY n.created_at DESC, n.id DESC
    LIMIT %(limit)s
) AS m
LEFT JOIN embeddings AS e
    ON e.tenant = m.tenant AND e.space = %(space)s AND e.key = m.embedding_key AND e.dimensions = %(dimensions)s
ORDER BY m.created_at DESC, m.id DESC

-- name: latest_of_user_as_of
-- Reads what a user's newest memories were like at a moment, of those that default reads saw then.
SELECT m.memory_id, m.user_id, m.tags, m.created_at, e.vector
FROM (
    SELECT n.memory_id, n.tenant, n.user_id, n.tags, n.created_at, n.embedding_key
    FROM versions AS n
    WHERE n.tenant = %(tenant)s AND n.user_id = %(user)s
      AND n.created_at <= %(moment)s
      AND n.recorded_at <= %(moment)s AND (n.replaced_at IS NULL OR n.replaced_at > %(moment)s)
      AND n.deleted_at IS NULL AND n.superseded_by IS NULL
      AND (n.expires_at IS NULL OR n.expires_at > %(moment)s)
    ORDER BY n.created_at DESC, n.memory_id DESC
    LIMIT %(limit)s
) AS m
LEFT JOIN embeddings AS e
    ON e.tenant = m.tenant AND e.space = %(space)s AND e.key = m.embedding_key AND e.dimensions = %(dimensions)s
ORDER BY m.created_at DESC, m.memory_id DESC

-- name: of_memories
-- Reads what memories are like by id, whatever their state, each with its vector.
SELECT m.id, m.user_id, m.tags, m.created_at, e.vector
FROM memories AS m
LEFT JOIN embeddings AS e
    ON e.tenant = m.tenant AND e.space = %(space)s AND e.key = m.embedding_key AND e.dimensions = %(dimensions)s
WHERE m.id = ANY(%(ids)s::uuid[])

-- name: of_memories_as_of
-- Reads what memories were like at a moment, by id, each with the vector of its text of that time.
SELECT m.memory_id, m.user_id, m.tags, m.created_at, e.vector
FROM versions AS m
LEFT JOIN embeddings AS e
    ON e.tenant = m.tenant AND e.space = %(space)s AND e.key = m.embedding_key AND e.dimensions = %(dimensions)s
WHERE m.memory_id = ANY(%(ids)s::uuid[])
  AND m.recorded_at <= %(moment)s AND (m.replaced_at IS NULL OR m.replaced_at > %(moment)s)
