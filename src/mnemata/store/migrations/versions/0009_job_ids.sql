-- Names of jobs that tell nobody how many jobs there are. Jobs are few and forgotten after a month: the table is rewritten in a moment.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- squawk-ignore adding-required-field, adding-field-with-default
ALTER TABLE job_reports ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid
ALTER TABLE job_reports ADD CONSTRAINT job_reports_id_key UNIQUE (id);
COMMENT ON COLUMN job_reports.id IS 'The job''s name for callers: the numbers of the queue are one after the other.';
