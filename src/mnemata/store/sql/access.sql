-- name: add_tenant
-- Makes a tenant where there is none of that name.
INSERT INTO tenants (id, created_at) VALUES (%(tenant)s, %(now)s)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: tenants
-- Lists the tenants and counts the memories of each that default reads may see.
SELECT t.id, t.created_at, coalesce(c.memories, 0)
FROM tenants AS t
LEFT JOIN (
    SELECT m.tenant, count(*) AS memories
    FROM memories AS m
    WHERE m.deleted_at IS NULL AND m.superseded_by IS NULL
    GROUP BY m.tenant
) AS c ON c.tenant = t.id
ORDER BY t.id

-- name: add_key
-- Stores an API key.
INSERT INTO api_keys (id, tenant, role, label, secret_hash, created_at, last_used_at, revoked_at)
VALUES (
    %(id)s, %(tenant)s, %(role)s, %(label)s, %(secret_hash)s, %(created_at)s, %(last_used_at)s, %(revoked_at)s
)

-- name: key
-- Reads an API key by its public part.
SELECT id, tenant, role, label, secret_hash, created_at, last_used_at, revoked_at FROM api_keys WHERE id = %(id)s

-- name: keys
-- Lists the API keys of a tenant, the oldest first.
SELECT id, tenant, role, label, secret_hash, created_at, last_used_at, revoked_at
FROM api_keys WHERE tenant = %(tenant)s ORDER BY created_at, id

-- name: revoke
-- Revokes an API key of a tenant; one that is revoked stays as it is.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, %(now)s)
WHERE id = %(id)s AND tenant = %(tenant)s
RETURNING id

-- name: touch
-- Notes that an API key was used, at most once in a while, so that reading does not become writing.
UPDATE api_keys SET last_used_at = %(now)s
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < %(before)s)
