-- name: raise
-- Tells every process that a cache may hold what is older than a completed write.
INSERT INTO cache_doubts AS d (cache, told, mended) VALUES (%(cache)s, 1, 0)
ON CONFLICT (cache) DO UPDATE SET told = d.told + 1
RETURNING d.told, d.mended, pg_notify(%(channel)s, %(cache)s)

-- name: mend
-- Notes that everything was given up that a cache held when it had been told of so much.
UPDATE cache_doubts AS d SET mended = greatest(d.mended, %(told)s) WHERE d.cache = %(cache)s
RETURNING d.told, d.mended

-- name: read
-- Reads of how much a cache was told, and how much of it was mended.
SELECT d.told, d.mended FROM cache_doubts AS d WHERE d.cache = %(cache)s
