-- name: words
-- Finds memories that default reads see by their words, the best first.
WITH asked AS MATERIALIZED (
    SELECT
        {required} AS required,
        {excluded} AS excluded,
        (
            SELECT string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery
            FROM (
                SELECT lexeme FROM unnest(to_tsvector('english', %(text)s)) ORDER BY positions[1] LIMIT %(words)s
            ) AS w
        ) AS optional
),
understood AS MATERIALIZED (
    SELECT
        -- What is required decides alone who matches; the free words then only add to the score.
        CASE
            WHEN excluded IS NULL THEN coalesce(required, optional)
            ELSE coalesce(required, optional) && excluded
        END AS matching,
        coalesce(required || optional, required, optional) AS scoring
    FROM asked
)
SELECT m.{key}, ts_rank(memory_words(m.role, m.content), u.scoring, 1)::float8
FROM understood AS u, {source} AS m
WHERE m.tenant = %(tenant)s
  AND memory_words(m.role, m.content) @@ u.matching
  AND {exact}
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(moment)s)
  AND {at_moment}
  AND {condition}
ORDER BY 2 DESC, 1
LIMIT %(limit)s

-- name: vectors
-- Reads the vectors of the newest memories that default reads see.
SELECT m.id, e.vector
FROM own_memories AS m
JOIN embeddings AS e ON e.tenant = m.tenant AND e.space = %(space)s AND e.key = m.embedding_key
WHERE m.tenant = %(tenant)s AND e.dimensions = %(dimensions)s
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(moment)s)
  AND {condition}
ORDER BY m.created_at DESC, m.id DESC
LIMIT %(limit)s

-- name: vectors_as_of
-- Reads the vectors of the newest memories that default reads saw at a moment, by their texts of that time.
SELECT m.memory_id, e.vector
FROM versions AS m
JOIN embeddings AS e ON e.tenant = m.tenant AND e.space = %(space)s AND e.key = m.embedding_key
WHERE m.tenant = %(tenant)s AND e.dimensions = %(dimensions)s
  AND m.recorded_at <= %(moment)s AND (m.replaced_at IS NULL OR m.replaced_at > %(moment)s)
  AND m.deleted_at IS NULL AND m.superseded_by IS NULL
  AND (m.expires_at IS NULL OR m.expires_at > %(moment)s)
  AND {condition}
ORDER BY m.created_at DESC, m.memory_id DESC
LIMIT %(limit)s
