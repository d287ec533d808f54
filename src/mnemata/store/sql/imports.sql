-- name: stage
-- Takes over what a job is to store, in chunks.
INSERT INTO import_chunks (job_id, number, tenant, memories, items)
SELECT %(job)s, c.number - 1, %(tenant)s, c.memories, c.items
FROM unnest(%(items)s::text[], %(memories)s::bigint[]) WITH ORDINALITY AS c (items, memories, number)

-- name: next
-- Gives the first chunk of a job that is not stored yet.
SELECT number, tenant, items
FROM import_chunks
WHERE job_id = %(job)s AND items IS NOT NULL
ORDER BY number
LIMIT 1

-- name: stored
-- Notes what came of a chunk, and lets go of it.
UPDATE import_chunks
SET items = NULL, outcome = %(outcome)s::jsonb
WHERE job_id = %(job)s AND number = %(number)s

-- name: outcomes
-- Gives what came of the chunks of a job so far, in order, and how many memories there are in all.
SELECT
    coalesce(jsonb_agg(outcome ORDER BY number) FILTER (WHERE outcome IS NOT NULL), '[]'::jsonb),
    coalesce(sum(memories) FILTER (WHERE outcome IS NOT NULL), 0)::bigint,
    coalesce(sum(memories), 0)::bigint
FROM import_chunks
WHERE job_id = %(job)s

-- name: drop_over
-- Lets go of what jobs have left that are done, or were told to stop. What one that failed could not store stays with it.
DELETE FROM import_chunks AS c
USING procrastinate_jobs AS j
WHERE j.id = c.job_id
  AND (j.status IN ('succeeded', 'cancelled', 'aborted') OR (j.status = 'failed' AND j.abort_requested))
