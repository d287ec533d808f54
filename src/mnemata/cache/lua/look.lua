-- One look at an answer: the watermark, the tenant's generation, the answer where it is of both, and who may compute it.
-- KEYS: meta, generation, entry, lock. ARGV: a new generation, its life in seconds, a token, the lock's life in ms,
-- the remaining life in ms below which one caller refreshes.
local function read(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    redis.pcall('DEL', key)
    return false
  end
  return value
end

local function lock()
  local taken = redis.pcall('SET', KEYS[4], ARGV[3], 'NX', 'PX', ARGV[4])
  -- A server without room gives no locks: then everybody computes.
  if type(taken) == 'table' and taken.err then return 1 end
  return taken and 1 or 0
end

local meta = read(KEYS[1])
if not meta then return {false, false, false, 1} end
local generation = read(KEYS[2])
if not generation then
  generation = ARGV[1]
  local made = redis.pcall('SET', KEYS[2], generation, 'EX', ARGV[2])
  if made.err then return {meta, false, false, 1} end
end
local sound, decoded = pcall(cjson.decode, meta)
if not sound or type(decoded) ~= 'table' or type(decoded.e) ~= 'string' then return {false, false, false, 1} end
local stamp = decoded.e .. ':' .. generation .. '\n'
local entry = read(KEYS[3])
if entry and string.sub(entry, 1, #stamp) == stamp then
  local refresh = 0
  if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[5]) then refresh = lock() end
  return {meta, generation, string.sub(entry, #stamp + 1), refresh}
end
return {meta, generation, false, lock()}
