-- Raise what was changed and the watermark of a partition, in one step. Where this server does not hold what was published
-- last, it lost something or went back in time: a new epoch begins, and no key of before is read again.
-- KEYS: meta, then generations, then memories. ARGV: partition, position published last ('': not known), new position,
-- a new epoch, a new generation, its life in seconds, how many generations.
local raw = redis.pcall('GET', KEYS[1])
if type(raw) == 'table' then
  redis.call('DEL', KEYS[1])
  raw = false
end
local meta = nil
if raw then
  local sound, decoded = pcall(cjson.decode, raw)
  if sound and type(decoded) == 'table' and type(decoded.e) == 'string' and type(decoded.p) == 'table' then
    meta = decoded
  end
end
local before = meta and meta.p[ARGV[1]]
local lost = before == nil or before ~= ARGV[2]
if not meta then meta = {e = ARGV[4], p = {}} end
if lost then meta.e = ARGV[4] end
local generations = tonumber(ARGV[7])
-- Taken away first: a server without room still does that.
for place = 2, #KEYS do redis.call('DEL', KEYS[place]) end
meta.p[ARGV[1]] = ARGV[3]
local encoded = cjson.encode(meta)
if encoded ~= raw then redis.call('SET', KEYS[1], encoded) end
for place = 2, generations + 1 do redis.call('SET', KEYS[place], ARGV[5] .. '.' .. place, 'EX', ARGV[6]) end
return lost and 1 or 0
