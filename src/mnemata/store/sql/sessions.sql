-- name: around
-- Reads the turns before (side 0) and after (side 1) each of the memories in its session.
SELECT a.id, n.side, {columns}
FROM memories AS a
CROSS JOIN LATERAL (
    (
        SELECT 0 AS side, p.*
        FROM memories AS p
        WHERE p.tenant = a.tenant AND p.session_id = a.session_id
          AND p.deleted_at IS NULL AND p.superseded_by IS NULL
          AND (p.expires_at IS NULL OR p.expires_at > %(now)s)
          AND (turn_sequence(p.sequence), coalesce(p.occurred_at, p.created_at), p.id)
            < (turn_sequence(a.sequence), coalesce(a.occurred_at, a.created_at), a.id)
        ORDER BY turn_sequence(p.sequence) DESC, coalesce(p.occurred_at, p.created_at) DESC, p.id DESC
        LIMIT %(width)s
    )
    UNION ALL
    (
        SELECT 1, f.*
        FROM memories AS f
        WHERE f.tenant = a.tenant AND f.session_id = a.session_id
          AND f.deleted_at IS NULL AND f.superseded_by IS NULL
          AND (f.expires_at IS NULL OR f.expires_at > %(now)s)
          AND (turn_sequence(f.sequence), coalesce(f.occurred_at, f.created_at), f.id)
            > (turn_sequence(a.sequence), coalesce(a.occurred_at, a.created_at), a.id)
        ORDER BY turn_sequence(f.sequence), coalesce(f.occurred_at, f.created_at), f.id
        LIMIT %(width)s
    )
) AS n
WHERE a.id = ANY(%(ids)s::uuid[])

-- name: by_order
-- Lets the rest of the transaction read in the order of an index, wherever there is one, instead of sorting.
SELECT set_config('enable_sort', 'off', true)

-- name: neighbours
-- Finds which memories, at which versions, stand directly before and after each of the memories in its session.
SELECT a.id, a.version, p.id, p.version, f.id, f.version
FROM memories AS a
LEFT JOIN LATERAL (
    SELECT p.id, p.version
    FROM memories AS p
    WHERE p.tenant = a.tenant AND p.session_id = a.session_id
      AND p.deleted_at IS NULL AND p.superseded_by IS NULL
      AND (turn_sequence(p.sequence), coalesce(p.occurred_at, p.created_at), p.id)
        < (turn_sequence(a.sequence), coalesce(a.occurred_at, a.created_at), a.id)
    ORDER BY turn_sequence(p.sequence) DESC, coalesce(p.occurred_at, p.created_at) DESC, p.id DESC
    LIMIT 1
) AS p ON true
LEFT JOIN LATERAL (
    SELECT f.id, f.version
    FROM memories AS f
    WHERE f.tenant = a.tenant AND f.session_id = a.session_id
      AND f.deleted_at IS NULL AND f.superseded_by IS NULL
      AND (turn_sequence(f.sequence), coalesce(f.occurred_at, f.created_at), f.id)
        > (turn_sequence(a.sequence), coalesce(a.occurred_at, a.created_at), a.id)
    ORDER BY turn_sequence(f.sequence), coalesce(f.occurred_at, f.created_at), f.id
    LIMIT 1
) AS f ON true
WHERE a.id = ANY(%(ids)s::uuid[])

-- name: affected
-- Finds the memories that stand next to a place in a session where one of the memories is, or once was.
SELECT n.id
FROM (
    SELECT DISTINCT
        v.memory_id, v.tenant, v.session_id, turn_sequence(v.sequence) AS place,
        coalesce(v.occurred_at, v.created_at) AS moment
    FROM versions AS v
    WHERE v.memory_id = ANY(%(ids)s::uuid[]) AND v.session_id IS NOT NULL
) AS a
CROSS JOIN LATERAL (
    (
        SELECT p.id
        FROM memories AS p
        WHERE p.tenant = a.tenant AND p.session_id = a.session_id
          AND p.deleted_at IS NULL AND p.superseded_by IS NULL
          AND (turn_sequence(p.sequence), coalesce(p.occurred_at, p.created_at), p.id)
            < (a.place, a.moment, a.memory_id)
        ORDER BY turn_sequence(p.sequence) DESC, coalesce(p.occurred_at, p.created_at) DESC, p.id DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT f.id
        FROM memories AS f
        WHERE f.tenant = a.tenant AND f.session_id = a.session_id
          AND f.deleted_at IS NULL AND f.superseded_by IS NULL
          AND (turn_sequence(f.sequence), coalesce(f.occurred_at, f.created_at), f.id)
            > (a.place, a.moment, a.memory_id)
        ORDER BY turn_sequence(f.sequence), coalesce(f.occurred_at, f.created_at), f.id
        LIMIT 1
    )
) AS n
