-- An index of the memories of an agent, as there is one of those of a user: a rare agent was looked for among all of a tenant's.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '600s';

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX memories_by_agent ON memories (tenant, agent_id, created_at, id)
    WHERE deleted_at IS NULL AND superseded_by IS NULL AND agent_id IS NOT NULL;
COMMENT ON TABLE import_chunks IS 'Memories that a job is to store, in pieces that are each stored in one transaction. They go when it is done or cancelled; when it failed, with the job.';
