-- name: note
-- Notes that a job was asked for, and gives the name that callers know it by.
INSERT INTO job_reports (job_id, tenant, created_at, updated_at)
VALUES (%(job)s, %(tenant)s, %(now)s, %(now)s)
RETURNING id

-- name: progress
-- Notes how far a job is.
UPDATE job_reports SET done = %(done)s, total = %(total)s, updated_at = %(now)s WHERE job_id = %(job)s

-- name: outcome
-- Notes what came of a job.
UPDATE job_reports SET outcome = %(outcome)s::jsonb, code = %(code)s, updated_at = %(now)s WHERE job_id = %(job)s

-- name: list
-- Lists jobs, the newest first: one, or all; of a tenant's own kind where a tenant is named.
SELECT r.id, j.task_name, j.status::text, j.abort_requested, j.args, j.attempts,
       r.tenant, r.done, r.total, r.outcome, r.code, r.created_at, r.updated_at
FROM job_reports AS r
JOIN procrastinate_jobs AS j ON j.id = r.job_id
WHERE (%(job)s::uuid IS NULL OR r.id = %(job)s)
  AND (%(tenant)s::text IS NULL OR (r.tenant = %(tenant)s AND j.task_name = %(kind)s))
ORDER BY r.job_id DESC
LIMIT %(limit)s

-- name: cancel
-- Ends a job: one that waits is taken away, one that runs is told to stop.
SELECT procrastinate_cancel_job_v1(r.job_id, true, false) FROM job_reports AS r WHERE r.id = %(job)s

-- name: begin_again
-- Puts a job that failed back into the queue; one that was told to stop, or did not fail, stays as it is.
WITH failed AS (
    SELECT r.job_id
    FROM job_reports AS r
    JOIN procrastinate_jobs AS j ON j.id = r.job_id
    WHERE r.id = %(job)s AND j.status = 'failed' AND NOT j.abort_requested
    FOR UPDATE OF j
),
cleared AS (
    UPDATE job_reports AS r SET code = NULL, updated_at = %(now)s FROM failed WHERE r.job_id = failed.job_id
)
SELECT procrastinate_retry_job_v2(failed.job_id, %(now)s::timestamptz, NULL, NULL, NULL) FROM failed

-- name: forget
-- Forgets the jobs that ended before a moment.
DELETE FROM procrastinate_jobs AS j
USING job_reports AS r
WHERE r.job_id = j.id AND r.updated_at < %(before)s AND j.status NOT IN ('todo', 'doing')
