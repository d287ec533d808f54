-- name: get
-- Reads vectors by tenant and key: the keys stand packed in one parameter, 32 bytes each. They are unpacked first:
-- under row-level security a condition that unpacks could not use the index.
WITH asked AS MATERIALIZED (
    SELECT a.tenant, substring(%(keys)s::bytea FROM (a.place::int - 1) * 32 + 1 FOR 32) AS key
    FROM unnest(%(tenants)s::text[]) WITH ORDINALITY AS a (tenant, place)
)
SELECT e.tenant, e.key, e.vector
FROM asked AS a
JOIN embeddings AS e ON e.tenant = a.tenant AND e.space = %(space)s AND e.key = a.key

-- name: put
-- Keeps vectors under their keys: keys and vectors stand packed, 32 and 4 x dimensions bytes each.
INSERT INTO embeddings (dimensions, tenant, space, key, vector, checksum)
SELECT
    %(dimensions)s, given.tenant, %(space)s,
    substring(%(keys)s::bytea FROM (given.place::int - 1) * 32 + 1 FOR 32) AS key,
    substring(%(vectors)s::bytea FROM (given.place::int - 1) * 4 * %(dimensions)s::int + 1 FOR 4 * %(dimensions)s::int),
    given.checksum
FROM unnest(%(tenants)s::text[], %(checksums)s::bigint[]) WITH ORDINALITY AS given (tenant, checksum, place)
-- Everybody takes keys in one order, so that two writers of the same texts never wait for each other.
ORDER BY given.tenant, key
ON CONFLICT DO NOTHING
RETURNING tenant, key

-- name: missing
-- Reads memories behind an id, up to another one, that are neither deleted nor superseded and have no vector in the space.
-- One look-up each: a join would read all vectors.
SELECT {columns}
FROM memories AS m
LEFT JOIN LATERAL (
    SELECT true AS there
    FROM embeddings AS e
    WHERE e.tenant = m.tenant AND e.space = %(space)s AND e.key = m.embedding_key
    LIMIT 1
) AS e ON true
WHERE
    m.id > %(after)s::uuid AND m.id <= %(until)s::uuid
    AND m.deleted_at IS NULL AND m.superseded_by IS NULL AND e.there IS NULL
ORDER BY m.id
LIMIT %(limit)s

-- name: spaces
-- Lists the spaces that have vectors, one look-up per tenant and space.
WITH RECURSIVE found AS (
    (SELECT tenant, space, dimensions FROM embeddings ORDER BY tenant, space LIMIT 1)
    UNION ALL
    SELECT n.tenant, n.space, n.dimensions
    FROM found AS f
    CROSS JOIN LATERAL (
        SELECT e.tenant, e.space, e.dimensions
        FROM embeddings AS e
        WHERE (e.tenant, e.space) > (f.tenant, f.space)
        ORDER BY e.tenant, e.space
        LIMIT 1
    ) AS n
)
SELECT DISTINCT space, dimensions FROM found ORDER BY space, dimensions
