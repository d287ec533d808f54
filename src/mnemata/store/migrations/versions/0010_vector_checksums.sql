-- Checksums of vectors, so that one that was changed behind our back is told from one that was made so.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

ALTER TABLE embeddings ADD COLUMN checksum bigint;
COMMENT ON COLUMN embeddings.checksum IS 'The CRC-32 of the vector; NULL: it was stored before there were checksums.';
