-- Begin a new epoch: no key of before is read again. The watermarks stay. KEYS: meta. ARGV: a new epoch.
local raw = redis.pcall('GET', KEYS[1])
if type(raw) ~= 'string' then return 0 end
local sound, meta = pcall(cjson.decode, raw)
if not sound or type(meta) ~= 'table' then
  redis.call('DEL', KEYS[1])
  return 0
end
meta.e = ARGV[1]
redis.call('SET', KEYS[1], cjson.encode(meta))
return 1
