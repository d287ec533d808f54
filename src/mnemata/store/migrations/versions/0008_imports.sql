-- Imports in the background: what was handed over and is not stored yet, and what came of the rest.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '600s';

CREATE TABLE import_chunks (
    job_id bigint NOT NULL,
    number bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    memories bigint NOT NULL,
    items text,
    outcome jsonb,
    CONSTRAINT import_chunks_pkey PRIMARY KEY (job_id, number),
    CONSTRAINT import_chunks_job_fkey FOREIGN KEY (job_id) REFERENCES job_reports (job_id) ON DELETE CASCADE,
    CONSTRAINT import_chunks_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (id),
    CONSTRAINT import_chunks_memories_check CHECK (memories > 0),
    CONSTRAINT import_chunks_done_check CHECK ((items IS NULL) <> (outcome IS NULL))
);
COMMENT ON TABLE import_chunks IS 'Memories that a job is to store, in pieces that are each stored in one transaction. They go when the job is over.';
COMMENT ON COLUMN import_chunks.job_id IS 'The job.';
COMMENT ON COLUMN import_chunks.number IS 'Its place among the chunks of the job, from 0.';
COMMENT ON COLUMN import_chunks.tenant IS 'Whose memories they are.';
COMMENT ON COLUMN import_chunks.memories IS 'How many they are.';
COMMENT ON COLUMN import_chunks.items IS 'What is to be stored, as JSON; NULL once it is.';
COMMENT ON COLUMN import_chunks.outcome IS 'What came of it, once it is stored.';

ALTER TABLE import_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE import_chunks FORCE ROW LEVEL SECURITY;
CREATE POLICY every ON import_chunks TO mnemata_platform USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON import_chunks TO mnemata_platform;
