-- One look at a memory; where it is not there, a claim to fill it. Whoever changes the memory deletes the claim with it, so
-- that what was read before the change is never put back.
-- KEYS: meta, memory. ARGV: a token, the claim's life in ms.
local meta = redis.pcall('GET', KEYS[1])
if type(meta) ~= 'string' then return {false, false, 0} end
local sound, decoded = pcall(cjson.decode, meta)
if not sound or type(decoded) ~= 'table' or type(decoded.e) ~= 'string' then return {false, false, 0} end
local value = redis.pcall('GET', KEYS[2])
if type(value) == 'table' then
  redis.call('DEL', KEYS[2])
  value = false
end
local stamp = decoded.e .. '\n'
if value and string.sub(value, 1, #stamp) == stamp then
  if string.sub(value, #stamp + 1, #stamp + 1) == 'V' then return {meta, string.sub(value, #stamp + 2), 0} end
  return {meta, false, 0}
end
local claimed = redis.pcall('SET', KEYS[2], stamp .. 'C' .. ARGV[1], 'PX', ARGV[2])
return {meta, false, claimed.err and 0 or 1}
