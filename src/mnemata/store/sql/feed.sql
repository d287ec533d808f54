-- name: read
-- Reads the next changes: only those of transactions older than every one that is still running, in whose place nothing
-- can appear any more. With the epoch; where there are none, in a row of its own.
SELECT c.xid::text::bigint, c.seq, c.tenant, c.memory_id, c.version, c.operation, c.recorded_at, h.epoch
FROM ({epoch}) AS h (epoch)
LEFT JOIN LATERAL (
    SELECT n.*
    FROM changes AS n
    WHERE (n.xid, n.seq) > (%(xid)s::text::xid8, %(seq)s::bigint)
      AND n.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY n.xid, n.seq
    LIMIT %(limit)s
) AS c ON true
ORDER BY c.xid, c.seq

-- name: read_partitions
-- As `read`, of some of sixteen partitions, each from a position of its own.
SELECT c.xid::text::bigint, c.seq, c.tenant, c.memory_id, c.version, c.operation, c.recorded_at, h.epoch
FROM ({epoch}) AS h (epoch)
LEFT JOIN (
    unnest(%(partitions)s::bigint[], %(xids)s::text[], %(seqs)s::bigint[]) AS place (partition, xid, seq)
    CROSS JOIN LATERAL (
        SELECT n.*
        FROM changes AS n
        WHERE get_byte(uuid_send(n.memory_id), 15) & 15 = place.partition
          AND (n.xid, n.seq) > (place.xid::xid8, place.seq)
          AND n.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY n.xid, n.seq
        LIMIT %(limit)s
    ) AS c
) ON true
ORDER BY c.xid, c.seq
LIMIT %(limit)s

-- name: glimpse
-- Looks at the next changes of some of sixteen partitions, whatever waits in front of them: of each tenant the first few,
-- the first one more, and the last; of those left out only the last. Each with its number among its tenant's.
WITH near AS MATERIALIZED (
    SELECT c.*
    FROM changes AS c
    WHERE (c.xid, c.seq) > (%(xid)s::text::xid8, %(seq)s::bigint)
      AND c.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY c.xid, c.seq
    LIMIT %(window)s
), own AS (
    SELECT
        n.*,
        row_number() OVER (PARTITION BY n.tenant ORDER BY n.xid, n.seq) AS number,
        count(*) OVER (PARTITION BY n.tenant) AS of_tenant
    FROM near AS n
    WHERE get_byte(uuid_send(n.memory_id), 15) & 15 = ANY(%(partitions)s::bigint[])
)
SELECT
    o.xid::text::bigint, o.seq, o.tenant, o.memory_id, o.version, o.operation, o.recorded_at, o.number
FROM own AS o
WHERE o.number = o.of_tenant
   OR (o.number <= %(most)s + 1 AND NOT o.tenant = ANY(%(left_out)s::text[]))
ORDER BY o.xid, o.seq

-- name: lag_partitions
-- As `lag`, of all sixteen partitions, each behind a position of its own.
SELECT count(*), min(b.recorded_at)
FROM unnest(%(partitions)s::bigint[], %(xids)s::text[], %(seqs)s::bigint[]) AS place (partition, xid, seq)
CROSS JOIN LATERAL (
    SELECT n.recorded_at
    FROM changes AS n
    WHERE get_byte(uuid_send(n.memory_id), 15) & 15 = place.partition
      AND (n.xid, n.seq) > (place.xid::xid8, place.seq)
    ORDER BY n.xid, n.seq
    LIMIT %(bound)s
) AS b

-- name: head
-- Finds the position of the last change that can be read.
SELECT c.xid::text::bigint, c.seq
FROM changes AS c
WHERE c.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY c.xid DESC, c.seq DESC
LIMIT 1

-- name: lag
-- Counts the committed changes behind a position, up to a bound, and finds when the first one was made.
SELECT count(*), min(b.recorded_at)
FROM (
    SELECT c.recorded_at
    FROM changes AS c
    WHERE (c.xid, c.seq) > (%(xid)s::text::xid8, %(seq)s::bigint)
    ORDER BY c.xid, c.seq
    LIMIT %(bound)s
) AS b

-- name: epoch
-- Names the history that positions are of: the epoch, the server's own identity, and its timeline, which a promotion or a
-- recovery to a point in time begins anew.
SELECT concat_ws(
    '/', e.id, s.system_identifier,
    CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END
)
FROM feed_epoch AS e, pg_control_system() AS s

-- name: begin_epoch
-- Begins a new epoch.
UPDATE feed_epoch SET id = gen_random_uuid(), started_at = now()

-- name: age_changes
-- Puts every change in front of all transactions to come: the ones it names were another server's.
UPDATE changes SET xid = '0'::xid8 WHERE xid <> '0'::xid8

-- name: known
-- Tells whether a position can have been reached here: it was not, where its transaction is still to come.
SELECT %(xid)s::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())

-- name: announce
-- Tells of something that happened to memories at the versions that they are at.
INSERT INTO changes (memory_id, recorded_at, version, operation, tenant)
SELECT m.id, %(now)s, m.version, %(operation)s, m.tenant
FROM memories AS m
WHERE m.id = ANY(%(ids)s::uuid[])
ORDER BY m.id

-- name: ticket
-- Numbers a reading of memories for an index.
SELECT nextval('index_tickets')

-- name: announce_gone
-- Tells that there are no such memories of such tenants.
INSERT INTO changes (memory_id, recorded_at, version, operation, tenant)
SELECT gone.memory_id, %(now)s, 0, %(operation)s, gone.tenant
FROM unnest(%(ids)s::uuid[], %(tenants)s::text[]) AS gone (memory_id, tenant)
ORDER BY gone.memory_id

-- name: horizon
-- Gives an xid above that of everything that can be seen.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint

-- name: unseen
-- Tells whether transactions below an xid have changes behind a position.
SELECT EXISTS (
    SELECT FROM changes AS c
    WHERE (c.xid, c.seq) > (%(xid)s::text::xid8, %(seq)s::bigint) AND c.xid < %(below)s::text::xid8
)

-- name: unseen_partitions
-- As `unseen`, of sixteen partitions, each behind a position of its own.
SELECT EXISTS (
    SELECT
    FROM unnest(%(partitions)s::bigint[], %(xids)s::text[], %(seqs)s::bigint[]) AS place (partition, xid, seq)
    CROSS JOIN LATERAL (
        SELECT
        FROM changes AS n
        WHERE get_byte(uuid_send(n.memory_id), 15) & 15 = place.partition
          AND (n.xid, n.seq) > (place.xid::xid8, place.seq) AND n.xid < %(below)s::text::xid8
        ORDER BY n.xid, n.seq
        LIMIT 1
    ) AS b
)
