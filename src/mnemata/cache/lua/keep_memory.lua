-- Fill a memory, where the claim still stands. KEYS: memory. ARGV: epoch, token, payload, life in ms.
if redis.pcall('GET', KEYS[1]) == ARGV[1] .. '\nC' .. ARGV[2] then
  local done = redis.pcall('SET', KEYS[1], ARGV[1] .. '\nV' .. ARGV[3], 'PX', ARGV[4])
  return done.err and -1 or 1
end
return 0
