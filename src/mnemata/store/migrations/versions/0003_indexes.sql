-- What search indexes report: how far they are, and the changes that they could not apply.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE index_positions (
    name text COLLATE "C" NOT NULL,
    epoch text COLLATE "C" NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT index_positions_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE index_positions IS 'How far each index has come, as it said: a report, the index itself knows for sure.';
COMMENT ON COLUMN index_positions.name IS 'The index.';
COMMENT ON COLUMN index_positions.epoch IS 'The epoch of the feed that the position is of.';
COMMENT ON COLUMN index_positions.xid IS 'The transaction of the last change that is durable in the index.';
COMMENT ON COLUMN index_positions.seq IS 'The sequence number of that change.';
COMMENT ON COLUMN index_positions.updated_at IS 'When it was reported.';

CREATE TABLE poison_changes (
    memory_id uuid NOT NULL,
    version bigint NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    attempts bigint NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    CONSTRAINT poison_changes_pkey PRIMARY KEY (memory_id)
);
COMMENT ON TABLE poison_changes IS 'Changes that an index could not apply, set aside so that they stop nothing else; the latest of each memory.';
COMMENT ON COLUMN poison_changes.memory_id IS 'The memory that is not in the index as it should be.';
COMMENT ON COLUMN poison_changes.version IS 'Its version at that change.';
COMMENT ON COLUMN poison_changes.xid IS 'The position of the change.';
COMMENT ON COLUMN poison_changes.seq IS 'The position of the change.';
COMMENT ON COLUMN poison_changes.attempts IS 'How often it was tried.';
COMMENT ON COLUMN poison_changes.recorded_at IS 'When the change was made.';
COMMENT ON COLUMN poison_changes.first_seen IS 'When it failed first.';
COMMENT ON COLUMN poison_changes.last_seen IS 'When it failed last.';
COMMENT ON COLUMN poison_changes.tenant IS 'Whose memory.';
COMMENT ON COLUMN poison_changes.operation IS 'What was to be applied.';
COMMENT ON COLUMN poison_changes.code IS 'The stable code of the error.';

ALTER TABLE poison_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE poison_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY every ON poison_changes TO mnemata_platform USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON index_positions, poison_changes TO mnemata_platform;
