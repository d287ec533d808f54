-- API keys and idempotency keys.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE api_keys (
    id text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    label text NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (id),
    CONSTRAINT api_keys_role_known CHECK (role IN ('reader', 'writer', 'admin', 'operator')),
    CONSTRAINT api_keys_secret_hash_size CHECK (octet_length(secret_hash) >= 32)
);
COMMENT ON TABLE api_keys IS 'Credentials. The secret itself is shown once and never stored.';
COMMENT ON COLUMN api_keys.id IS 'The public part of a key.';
COMMENT ON COLUMN api_keys.tenant IS 'The tenant that the key opens.';
COMMENT ON COLUMN api_keys.role IS 'What the key may do.';
COMMENT ON COLUMN api_keys.label IS 'What people call it.';
COMMENT ON COLUMN api_keys.secret_hash IS 'A hash of the secret part.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN api_keys.revoked_at IS 'From then on it opens nothing.';

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at);

CREATE TABLE idempotency_keys (
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    outcome bytea,
    expires_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant, key),
    CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 256)
);
COMMENT ON TABLE idempotency_keys IS 'Writes that were done, so that a repeated request does not repeat them.';
COMMENT ON COLUMN idempotency_keys.tenant IS 'Whose key; row-level security goes by it.';
COMMENT ON COLUMN idempotency_keys.key IS 'What the caller sent as Idempotency-Key.';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'A hash of the request: another request with this key is refused.';
COMMENT ON COLUMN idempotency_keys.outcome IS 'What the write made; null where it made nothing to tell.';
COMMENT ON COLUMN idempotency_keys.expires_at IS 'From then on the key is free again.';

CREATE INDEX idempotency_keys_to_drop ON idempotency_keys (expires_at);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY every ON api_keys TO mnemata_platform USING (true);
CREATE POLICY own ON idempotency_keys TO mnemata_tenant USING (tenant = current_setting('mnemata.tenant'));
CREATE POLICY every ON idempotency_keys TO mnemata_platform USING (true);

GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO mnemata_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys, idempotency_keys TO mnemata_platform;
