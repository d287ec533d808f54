-- Add to how often queries of a tenant were asked, and keep the most asked.
-- KEYS: counts by digest, queries by digest, counts by tenant. ARGV: tenant, how many queries are kept, how many tenants,
-- life in seconds, then count, digest and query of each.
local asked = 0
for place = 5, #ARGV, 3 do
  asked = asked + tonumber(ARGV[place])
  redis.call('ZINCRBY', KEYS[1], ARGV[place], ARGV[place + 1])
  redis.call('HSET', KEYS[2], ARGV[place + 1], ARGV[place + 2])
end
redis.call('ZINCRBY', KEYS[3], asked, ARGV[1])
for _, digest in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1 - tonumber(ARGV[2]))) do
  redis.call('ZREM', KEYS[1], digest)
  redis.call('HDEL', KEYS[2], digest)
end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[3]))
for place = 1, 3 do redis.call('EXPIRE', KEYS[place], ARGV[4]) end
return redis.call('ZCARD', KEYS[1])
