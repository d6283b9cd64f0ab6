-- The rule of the election, as in Decide: KEYS are the elections. ARGV begins with the time in ms (0: this server's),
-- the fail-over timeout and the time to live in ms; then come, for each key, what the receiver knows (replica, term, age
-- and age of the last sign of life in ms) and the candidate. Answered are four values for each key: replica, term, ages.
local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local failover, ttl = tonumber(ARGV[2]), ARGV[3]
local answer = {}
for i, key in ipairs(KEYS) do
  local a = 3 + 5 * (i - 1)
  local mine, mineTerm = ARGV[a + 1], tonumber(ARGV[a + 2])
  local mineElected, mineSeen, candidate = now - ARGV[a + 3], now - ARGV[a + 4], ARGV[a + 5]
  local s = redis.call('HMGET', key, 'replica', 'term', 'elected', 'seen')
  local replica, term = s[1] or '', tonumber(s[2] or 0)
  -- A clock that was set back must not make the elected replica immortal.
  local elected, seen = math.min(now, tonumber(s[3] or now)), math.min(now, tonumber(s[4] or now))

  if mineTerm > term then
    replica, term, elected, seen = mine, mineTerm, mineElected, mineSeen
  elseif mineTerm == term and mine == replica then
    seen = math.max(seen, mineSeen)
  end
  if candidate ~= '' then
    if candidate == replica and term > 0 then
      seen = now
    elseif term == 0 or now - seen >= failover then
      replica, term, elected, seen = candidate, term + 1, now, now
    end
  end
  if term > 0 then
    redis.call('HSET', key, 'replica', replica, 'term', string.format('%.0f', term),
      'elected', string.format('%.0f', elected), 'seen', string.format('%.0f', seen))
    redis.call('PEXPIRE', key, ttl)
  end
  table.insert(answer, replica)
  for _, v in ipairs({term, now - elected, now - seen}) do
    table.insert(answer, string.format('%.0f', v))
  end
end
return answer
