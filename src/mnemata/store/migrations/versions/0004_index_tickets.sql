-- Orders the readings of memories that several processes make for one index.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE SEQUENCE index_tickets AS bigint;
COMMENT ON SEQUENCE index_tickets IS 'The version that an index writes a document with: a later reading has a higher one.';

GRANT USAGE ON SEQUENCE index_tickets TO mnemata_platform;
