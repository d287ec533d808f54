-- What processes that share one cache tell one another where it could not be told of a write.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '600s';

CREATE TABLE cache_doubts (
    cache text COLLATE "C" NOT NULL,
    told bigint NOT NULL,
    mended bigint NOT NULL,
    CONSTRAINT cache_doubts_pkey PRIMARY KEY (cache)
);
COMMENT ON TABLE cache_doubts IS 'Caches that could not be told of a write. While one is told of more than was mended, nobody reads it.';
COMMENT ON COLUMN cache_doubts.cache IS 'The namespace of its keys.';
COMMENT ON COLUMN cache_doubts.told IS 'One higher with every call that failed.';
COMMENT ON COLUMN cache_doubts.mended IS 'How much of what was told was told before everything cached was given up.';

GRANT SELECT, INSERT, UPDATE, DELETE ON cache_doubts TO mnemata_platform;
