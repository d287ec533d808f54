-- What processes that share one store tell one another: who does what, and how far the partitions of an index are.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '600s';

CREATE TABLE leases (
    name text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    token bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE leases IS 'Work that one process at a time does, and which it is. A process that ends without a word loses its work when the time is over.';
COMMENT ON COLUMN leases.name IS 'What is leased.';
COMMENT ON COLUMN leases.owner IS 'The process that has it; empty where it was given back.';
COMMENT ON COLUMN leases.token IS 'One higher with every new owner: what an earlier owner still says is known by it.';
COMMENT ON COLUMN leases.expires_at IS 'From then on, by this server''s clock, anybody may take it.';

CREATE TABLE index_reached (
    index_name text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    epoch text COLLATE "C" NOT NULL,
    token bigint NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    caught_up boolean NOT NULL,
    CONSTRAINT index_reached_pkey PRIMARY KEY (index_name, partition)
);
COMMENT ON TABLE index_reached IS 'What searches see by now of each partition of an index, for the processes that do not feed it.';
COMMENT ON COLUMN index_reached.index_name IS 'The index.';
COMMENT ON COLUMN index_reached.partition IS 'The part of the feed.';
COMMENT ON COLUMN index_reached.epoch IS 'The epoch of the feed that the position is of.';
COMMENT ON COLUMN index_reached.token IS 'Of the lease under which this was said.';
COMMENT ON COLUMN index_reached.xid IS 'The transaction of the last change that searches see.';
COMMENT ON COLUMN index_reached.seq IS 'The sequence number of that change.';
COMMENT ON COLUMN index_reached.caught_up IS 'Whether the head of the feed was reached since the index was begun.';

-- The sixteen partitions of the feed, each in its order: a memory's is the last byte of its id, which is random.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX changes_by_partition ON changes ((get_byte(uuid_send(memory_id), 15) & 15), xid, seq);

GRANT SELECT, INSERT, UPDATE, DELETE ON leases, index_reached TO mnemata_platform;
