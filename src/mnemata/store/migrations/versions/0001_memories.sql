-- Memories, their history, the change feed and the vectors; row-level security by tenant.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Roles belong to the whole server: another database of it may have made them, even at this moment.
DO $$
BEGIN
    CREATE ROLE mnemata_tenant NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

DO $$
BEGIN
    CREATE ROLE mnemata_platform NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- Every transaction takes one of the two roles, so the login must be able to. A superuser is without asking.
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT mnemata_tenant, mnemata_platform TO %I', current_user);
    END IF;
END $$;

CREATE TABLE tenants (
    id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_id_length CHECK (octet_length(id) BETWEEN 1 AND 256)
);
COMMENT ON TABLE tenants IS 'Who memories belong to. Tenants share nothing.';
COMMENT ON COLUMN tenants.id IS 'The name that a credential carries.';
COMMENT ON COLUMN tenants.created_at IS 'When the tenant was made.';

INSERT INTO tenants (id) VALUES ('default');

-- What the words of a memory are, in the index and in the query alike. Cut, because a tsvector holds at most 1 MiB.
CREATE FUNCTION memory_words(role text, content text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('english'::regconfig, left(coalesce(role || ' ', '') || content, 100000));
COMMENT ON FUNCTION memory_words(text, text) IS 'The words by which full-text search finds a memory: its speaker and its content.';

-- The place of a turn in its session: by sequence, turns without one behind those with, then by time.
CREATE FUNCTION turn_sequence(sequence bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(sequence, 9007199254740992);
COMMENT ON FUNCTION turn_sequence(bigint) IS 'A sequence number, or 2^53 where there is none: beyond the largest one allowed.';

CREATE TABLE memories (
    id uuid NOT NULL,
    version bigint NOT NULL,
    importance double precision NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    occurred_at timestamptz,
    expires_at timestamptz,
    deleted_at timestamptz,
    sequence bigint,
    superseded_by uuid,
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    agent_id text COLLATE "C",
    session_id text COLLATE "C",
    role text COLLATE "C",
    source text COLLATE "C",
    external_id text COLLATE "C",
    tags text[] COLLATE "C" NOT NULL,
    metadata json NOT NULL,
    attributes text[] COLLATE "C" NOT NULL,
    term_hashes bigint[] NOT NULL,
    content_hash bytea NOT NULL,
    embedding_key bytea NOT NULL,
    content text COLLATE "C" NOT NULL,
    CONSTRAINT memories_pkey PRIMARY KEY (id),
    CONSTRAINT memories_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (id),
    CONSTRAINT memories_version_positive CHECK (version >= 1),
    CONSTRAINT memories_importance_range CHECK (importance BETWEEN 0 AND 1),
    CONSTRAINT memories_sequence_range CHECK (sequence BETWEEN 0 AND 9007199254740991),
    CONSTRAINT memories_content_size CHECK (octet_length(content) BETWEEN 1 AND 1048576),
    CONSTRAINT memories_content_hash_size CHECK (octet_length(content_hash) = 32),
    CONSTRAINT memories_embedding_key_size CHECK (octet_length(embedding_key) = 32),
    CONSTRAINT memories_metadata_object CHECK (json_typeof(metadata) = 'object')
);
COMMENT ON TABLE memories IS 'Every memory as it is now; one row each. Forgotten ones stay until they are purged.';
COMMENT ON COLUMN memories.id IS 'UUIDv7: ordered by the time of storing.';
COMMENT ON COLUMN memories.version IS 'Counts from 1; the ETag.';
COMMENT ON COLUMN memories.importance IS 'From 0 to 1.';
COMMENT ON COLUMN memories.created_at IS 'When it was first stored.';
COMMENT ON COLUMN memories.updated_at IS 'When this version was stored.';
COMMENT ON COLUMN memories.occurred_at IS 'When it was true in the world.';
COMMENT ON COLUMN memories.expires_at IS 'From then on no read sees it; the sweeper marks it as deleted.';
COMMENT ON COLUMN memories.deleted_at IS 'When it was forgotten or had expired; purged after the grace period.';
COMMENT ON COLUMN memories.sequence IS 'Its place in its session.';
COMMENT ON COLUMN memories.superseded_by IS 'The newer memory in its place. No foreign key: purging that one must not bring this one back.';
COMMENT ON COLUMN memories.tenant IS 'Whose it is; row-level security goes by it.';
COMMENT ON COLUMN memories.kind IS 'semantic, episodic, procedural, working, or the user''s own.';
COMMENT ON COLUMN memories.user_id IS 'Narrows inside a tenant.';
COMMENT ON COLUMN memories.agent_id IS 'Narrows inside a tenant.';
COMMENT ON COLUMN memories.session_id IS 'The conversation whose turn it is.';
COMMENT ON COLUMN memories.role IS 'Who speaks.';
COMMENT ON COLUMN memories.source IS 'Where it came from.';
COMMENT ON COLUMN memories.external_id IS 'The caller''s own key, unique in its tenant: the upsert key.';
COMMENT ON COLUMN memories.tags IS 'Distinct, in the caller''s order.';
COMMENT ON COLUMN memories.metadata IS 'JSON as it was sent; filters go by attributes.';
COMMENT ON COLUMN memories.attributes IS 'The metadata as typed terms whose byte order is the order of the values.';
COMMENT ON COLUMN memories.term_hashes IS 'Short hashes of tags and attributes, for the index: a term may be longer than an index entry.';
COMMENT ON COLUMN memories.content_hash IS 'SHA-256 of the content.';
COMMENT ON COLUMN memories.embedding_key IS 'SHA-256 of the embedded text (speaker and content): the key of its vector.';
COMMENT ON COLUMN memories.content IS 'Verbatim, never rewritten.';

CREATE UNIQUE INDEX memories_by_external_id ON memories (tenant, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX memories_by_created ON memories (tenant, created_at, id)
    WHERE deleted_at IS NULL AND superseded_by IS NULL;
CREATE INDEX memories_by_updated ON memories (tenant, updated_at, id)
    WHERE deleted_at IS NULL AND superseded_by IS NULL;
CREATE INDEX memories_by_occurred ON memories (tenant, coalesce(occurred_at, created_at), id)
    WHERE deleted_at IS NULL AND superseded_by IS NULL;
CREATE INDEX memories_by_importance ON memories (tenant, importance, id)
    WHERE deleted_at IS NULL AND superseded_by IS NULL;
CREATE INDEX memories_by_user ON memories (tenant, user_id, created_at, id)
    WHERE deleted_at IS NULL AND superseded_by IS NULL AND user_id IS NOT NULL;
CREATE INDEX memories_by_session ON memories
    (tenant, session_id, turn_sequence(sequence), coalesce(occurred_at, created_at), id)
    WHERE deleted_at IS NULL AND superseded_by IS NULL AND session_id IS NOT NULL;
CREATE INDEX memories_by_terms_and_words ON memories USING gin (term_hashes, memory_words(role, content))
    WHERE deleted_at IS NULL AND superseded_by IS NULL;
CREATE INDEX memories_to_expire ON memories (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX memories_to_purge ON memories (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE versions (
    memory_id uuid NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    replaced_at timestamptz,
    importance double precision NOT NULL,
    created_at timestamptz NOT NULL,
    occurred_at timestamptz,
    expires_at timestamptz,
    deleted_at timestamptz,
    sequence bigint,
    superseded_by uuid,
    operation text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    agent_id text COLLATE "C",
    session_id text COLLATE "C",
    role text COLLATE "C",
    source text COLLATE "C",
    external_id text COLLATE "C",
    tags text[] COLLATE "C" NOT NULL,
    metadata json NOT NULL,
    attributes text[] COLLATE "C" NOT NULL,
    content_hash bytea NOT NULL,
    embedding_key bytea NOT NULL,
    content text COLLATE "C" NOT NULL,
    CONSTRAINT versions_pkey PRIMARY KEY (memory_id, version),
    CONSTRAINT versions_memory_fkey FOREIGN KEY (memory_id) REFERENCES memories (id) ON DELETE CASCADE,
    CONSTRAINT versions_version_positive CHECK (version >= 1),
    CONSTRAINT versions_operation_known
        CHECK (operation IN ('created', 'updated', 'restored', 'forgotten', 'expired'))
);
COMMENT ON TABLE versions IS 'The whole history of every memory: one row per version, the current one too.';
COMMENT ON COLUMN versions.memory_id IS 'Whose version it is.';
COMMENT ON COLUMN versions.version IS 'Counts from 1.';
COMMENT ON COLUMN versions.recorded_at IS 'When this version was stored: the memory was like this from then on.';
COMMENT ON COLUMN versions.replaced_at IS 'When the next version was stored; null for the current one.';
COMMENT ON COLUMN versions.importance IS 'As in memories.';
COMMENT ON COLUMN versions.created_at IS 'As in memories.';
COMMENT ON COLUMN versions.occurred_at IS 'As in memories.';
COMMENT ON COLUMN versions.expires_at IS 'As in memories.';
COMMENT ON COLUMN versions.deleted_at IS 'As in memories: set in the version that forgetting made.';
COMMENT ON COLUMN versions.sequence IS 'As in memories.';
COMMENT ON COLUMN versions.superseded_by IS 'As in memories.';
COMMENT ON COLUMN versions.operation IS 'What made this version.';
COMMENT ON COLUMN versions.tenant IS 'As in memories; row-level security goes by it.';
COMMENT ON COLUMN versions.kind IS 'As in memories.';
COMMENT ON COLUMN versions.user_id IS 'As in memories.';
COMMENT ON COLUMN versions.agent_id IS 'As in memories.';
COMMENT ON COLUMN versions.session_id IS 'As in memories.';
COMMENT ON COLUMN versions.role IS 'As in memories.';
COMMENT ON COLUMN versions.source IS 'As in memories.';
COMMENT ON COLUMN versions.external_id IS 'As in memories.';
COMMENT ON COLUMN versions.tags IS 'As in memories.';
COMMENT ON COLUMN versions.metadata IS 'As in memories.';
COMMENT ON COLUMN versions.attributes IS 'As in memories.';
COMMENT ON COLUMN versions.content_hash IS 'As in memories.';
COMMENT ON COLUMN versions.embedding_key IS 'As in memories.';
COMMENT ON COLUMN versions.content IS 'As in memories.';

CREATE INDEX versions_by_created ON versions (tenant, created_at, memory_id);
CREATE INDEX versions_by_embedding ON versions (embedding_key);

CREATE TABLE changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 32),
    memory_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    version bigint NOT NULL,
    operation text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    CONSTRAINT changes_pkey PRIMARY KEY (xid, seq),
    CONSTRAINT changes_operation_known
        CHECK (operation IN ('created', 'updated', 'restored', 'forgotten', 'expired', 'purged', 'embedded'))
);
COMMENT ON TABLE changes IS 'The feed that indexes follow, in the order (xid, seq). No foreign keys: it outlives what it tells of.';
COMMENT ON COLUMN changes.xid IS 'The writing transaction: readers stop below the oldest one that is still running.';
COMMENT ON COLUMN changes.seq IS 'Rises within one transaction; between transactions it may not follow the order of commits.';
COMMENT ON COLUMN changes.memory_id IS 'What changed.';
COMMENT ON COLUMN changes.recorded_at IS 'When.';
COMMENT ON COLUMN changes.version IS 'The version that the change made, or whose vector arrived.';
COMMENT ON COLUMN changes.operation IS 'What was done.';
COMMENT ON COLUMN changes.tenant IS 'Whose memory; row-level security goes by it.';

CREATE TABLE embeddings (
    dimensions bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    space text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    vector bytea NOT NULL,
    CONSTRAINT embeddings_pkey PRIMARY KEY (tenant, space, key),
    CONSTRAINT embeddings_space_size CHECK (octet_length(space) BETWEEN 1 AND 256),
    CONSTRAINT embeddings_key_size CHECK (octet_length(key) = 32),
    CONSTRAINT embeddings_vector_size CHECK (dimensions > 0 AND octet_length(vector) = dimensions * 4)
);
-- Vectors do not compress: trying costs time.
ALTER TABLE embeddings ALTER COLUMN vector SET STORAGE EXTERNAL;
COMMENT ON TABLE embeddings IS 'Vectors by space and embedded text. Per tenant: none can time or poison the text of another.';
COMMENT ON COLUMN embeddings.dimensions IS 'Values in the vector.';
COMMENT ON COLUMN embeddings.tenant IS 'Whose text; row-level security goes by it.';
COMMENT ON COLUMN embeddings.space IS 'A model at a version: spaces never mix.';
COMMENT ON COLUMN embeddings.key IS 'SHA-256 of the embedded text.';
COMMENT ON COLUMN embeddings.vector IS 'Little-endian float32, of unit length.';

CREATE TABLE feed_epoch (
    singleton boolean NOT NULL DEFAULT true,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    started_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT feed_epoch_pkey PRIMARY KEY (singleton),
    CONSTRAINT feed_epoch_one_row CHECK (singleton)
);
COMMENT ON TABLE feed_epoch IS 'One row: positions of another epoch mean nothing here.';
COMMENT ON COLUMN feed_epoch.singleton IS 'Always true: there is one row.';
COMMENT ON COLUMN feed_epoch.id IS 'Chosen anew when the database was restored from a dump.';
COMMENT ON COLUMN feed_epoch.started_at IS 'When the epoch began.';

INSERT INTO feed_epoch DEFAULT VALUES;

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
ALTER TABLE memories ENABLE ROW LEVEL SECURITY;
ALTER TABLE memories FORCE ROW LEVEL SECURITY;
ALTER TABLE versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE versions FORCE ROW LEVEL SECURITY;
ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE changes FORCE ROW LEVEL SECURITY;
ALTER TABLE embeddings ENABLE ROW LEVEL SECURITY;
ALTER TABLE embeddings FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON tenants TO mnemata_tenant USING (id = current_setting('mnemata.tenant'));
CREATE POLICY own ON memories TO mnemata_tenant USING (tenant = current_setting('mnemata.tenant'));
CREATE POLICY own ON versions TO mnemata_tenant USING (tenant = current_setting('mnemata.tenant'));
CREATE POLICY own ON changes TO mnemata_tenant USING (tenant = current_setting('mnemata.tenant'));
CREATE POLICY own ON embeddings TO mnemata_tenant USING (tenant = current_setting('mnemata.tenant'));
CREATE POLICY every ON tenants TO mnemata_platform USING (true);
CREATE POLICY every ON memories TO mnemata_platform USING (true);
CREATE POLICY every ON versions TO mnemata_platform USING (true);
CREATE POLICY every ON changes TO mnemata_platform USING (true);
CREATE POLICY every ON embeddings TO mnemata_platform USING (true);

-- A condition that is not leakproof (array overlap, full text) cannot use an index under a row-level security policy.
-- This view shows a tenant its own rows and no other, and lets such conditions use theirs.
CREATE VIEW own_memories AS SELECT * FROM memories WHERE tenant = current_setting('mnemata.tenant');
COMMENT ON VIEW own_memories IS 'The memories of the transaction''s tenant, for queries by tag, metadata or words.';

GRANT USAGE ON SCHEMA public TO mnemata_tenant, mnemata_platform;
GRANT CREATE ON SCHEMA public TO mnemata_platform;
ALTER VIEW own_memories OWNER TO mnemata_platform;
REVOKE CREATE ON SCHEMA public FROM mnemata_platform;

GRANT SELECT ON tenants TO mnemata_tenant;
GRANT SELECT, INSERT, UPDATE ON memories, versions TO mnemata_tenant;
GRANT SELECT, INSERT ON changes, embeddings TO mnemata_tenant;
GRANT SELECT ON own_memories TO mnemata_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants, memories, versions, changes, embeddings, feed_epoch TO mnemata_platform;
