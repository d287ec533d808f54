-- Keep an answer, unless the tenant's generation or the epoch has moved on since it was begun.
-- KEYS: meta, generation, entry, lock. ARGV: epoch, generation, token, payload, life in ms (0: keep nothing).
local function unlock()
  if redis.pcall('GET', KEYS[4]) == ARGV[3] then redis.call('DEL', KEYS[4]) end
end

local meta = redis.pcall('GET', KEYS[1])
local kept = 0
if type(meta) == 'string' and redis.pcall('GET', KEYS[2]) == ARGV[2] and tonumber(ARGV[5]) > 0 then
  local sound, decoded = pcall(cjson.decode, meta)
  if sound and type(decoded) == 'table' and decoded.e == ARGV[1] then
    local done = redis.pcall('SET', KEYS[3], ARGV[1] .. ':' .. ARGV[2] .. '\n' .. ARGV[4], 'PX', ARGV[5])
    kept = done.err and -1 or 1
  end
end
unlock()
return kept
