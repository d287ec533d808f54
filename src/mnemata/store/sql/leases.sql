-- name: renew
-- Keeps for longer what a process has, and lists every lease with how long it still holds: nobody has it where that is
-- below zero, nor where another took it at this moment.
WITH renewed AS (
    UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => %(ttl_s)s)
    WHERE owner = %(owner)s
    RETURNING name, token, expires_at
)
SELECT
    l.name,
    CASE WHEN r.name IS NULL AND l.owner = %(owner)s THEN '' ELSE l.owner END,
    coalesce(r.token, l.token),
    extract(epoch FROM coalesce(r.expires_at, l.expires_at) - clock_timestamp())::double precision
FROM leases AS l
LEFT JOIN renewed AS r ON r.name = l.name
ORDER BY l.name

-- name: take
-- Takes those of the leases that nobody has.
INSERT INTO leases AS l (name, owner, token, expires_at)
SELECT wanted.name, %(owner)s, 1, clock_timestamp() + make_interval(secs => %(ttl_s)s)
FROM unnest(%(names)s::text[]) AS wanted (name)
ORDER BY wanted.name
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, token = l.token + 1, expires_at = excluded.expires_at
WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp()
RETURNING name, token

-- name: give_back
-- Lets anybody have what a process has no use for any more.
UPDATE leases SET owner = '', expires_at = clock_timestamp() WHERE owner = %(owner)s AND name = ANY(%(names)s)

-- name: over_for
-- Tells how long ago a lease ran out, in seconds; below zero while somebody has it.
SELECT extract(epoch FROM clock_timestamp() - expires_at)::double precision FROM leases WHERE name = %(name)s

-- name: forget
-- Forgets the leases of a kind that ran out long ago: the processes that had them are gone.
DELETE FROM leases WHERE starts_with(name, %(prefix)s) AND expires_at < clock_timestamp() - interval '1 hour'

-- name: relax
-- Lets this transaction's commit not wait for the disk: what it says can be said again.
SELECT set_config('synchronous_commit', 'off', true)

-- name: reach
-- Notes what searches see of partitions, as far as nobody said so under a later lease, and tells the processes that wait;
-- which partitions were noted. Where searches went back, the positions alone do not say enough: the rows are to be read.
-- What is ahead is told where nothing was lost to another.
WITH told AS (
    SELECT t.partition, t.token, t.xid, t.seq, t.caught_up
    FROM unnest(
        %(partitions)s::bigint[], %(tokens)s::bigint[], %(xids)s::text[], %(seqs)s::bigint[], %(caught_up)s::boolean[]
    ) AS t (partition, token, xid, seq, caught_up)
), noted AS (
    INSERT INTO index_reached AS r (index_name, partition, epoch, token, xid, seq, caught_up)
    SELECT %(index)s, told.partition, %(epoch)s, told.token, told.xid::xid8, told.seq, told.caught_up
    FROM told
    ORDER BY told.partition
    ON CONFLICT (index_name, partition) DO UPDATE SET
        epoch = excluded.epoch, token = excluded.token, xid = excluded.xid, seq = excluded.seq,
        caught_up = excluded.caught_up
    WHERE r.token <= excluded.token
    RETURNING partition
), news AS (
    SELECT
        array_agg(told.partition) AS partitions,
        string_agg(format(' %%s:%%s-%%s', told.partition, told.xid, told.seq), '' ORDER BY told.partition)
            FILTER (WHERE (SELECT bool_and(every.caught_up) FROM told AS every)) AS positions
    FROM noted
    JOIN told ON told.partition = noted.partition
)
SELECT
    coalesce(news.partitions, '{}'),
    pg_notify(%(channel)s, %(index)s::text || coalesce(news.positions, '')),
    CASE WHEN %(ahead)s <> '' AND news.positions IS NOT NULL
            AND (SELECT count(*) FROM noted) = (SELECT count(*) FROM told)
        THEN pg_notify(%(channel)s, %(ahead_of)s::text || %(ahead)s::text)
    END
FROM news

-- name: reached
-- Lists what searches see of each partition.
SELECT r.partition, r.epoch, r.xid::text::bigint, r.seq, r.caught_up, r.token
FROM index_reached AS r
WHERE r.index_name = %(index)s
ORDER BY r.partition
