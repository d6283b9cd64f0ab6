-- Books what a receiver has let through, and says what it may let through next. KEYS are the set of receivers and the
-- subjects. ARGV begins with the time in ms (0: this server's), the receiver, the time in ms after which one that is silent
-- is gone, and whether the receiver was away (1); then come, for each subject, the limit a second, the burst, what was let
-- through, what is offered a second, and what the receiver thinks that all had left. Answered are the number of receivers,
-- and for each subject what all have left and the receiver's share of it.
local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local me, silence, away = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'

redis.call('ZADD', KEYS[1], string.format('%.0f', now), me)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - silence))
-- A clock that was set back must not keep those who are gone.
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.0f', now + silence), '+inf')
redis.call('PEXPIRE', KEYS[1], 10 * silence)
local receivers = redis.call('ZCARD', KEYS[1])
local answer = {tostring(receivers)}

for i = 2, #KEYS do
  local key, a = KEYS[i], 5 * (i - 2) + 4
  local limit, burst, spent = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local demand, whole = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local s, all = {}, redis.call('HGETALL', key)
  for j = 1, #all, 2 do s[all[j]] = all[j + 1] end

  local tokens = whole
  if s['tokens'] then
    tokens = tonumber(s['tokens']) + limit * math.max(0, now - tonumber(s['at'])) / 1000
    if away then tokens = math.min(tokens, whole) end
  end
  -- It was spent while the rest came in: only what is left then may be too much.
  tokens = math.min(tokens - spent, burst)

  -- Shares are as the demands. What nobody demands, and always a little, is shared alike, also with those that have not
  -- been heard about this subject: whoever is sent something next has some of it to begin with.
  local sum = demand
  for field, value in pairs(s) do
    if string.sub(field, 1, 2) == 'd:' and field ~= 'd:' .. me then
      local sep = string.find(value, '@')
      if math.abs(now - tonumber(string.sub(value, sep + 1))) > silence then
        redis.call('HDEL', key, field)
      else
        sum = sum + tonumber(string.sub(value, 1, sep - 1))
      end
    end
  end
  local spare = math.max(limit / 20, limit - sum) / receivers
  redis.call('HSET', key, 'tokens', string.format('%.3f', tokens), 'at', string.format('%.0f', now),
    'd:' .. me, string.format('%.3f@%.0f', demand, now))
  -- When the bucket is full again there is nothing to remember.
  redis.call('PEXPIRE', key, string.format('%.0f', math.max(4 * silence, 1000 * (burst - tokens) / limit + silence)))
  table.insert(answer, string.format('%.3f', tokens))
  table.insert(answer, string.format('%.6f', (demand + spare) / (sum + receivers * spare)))
end
return answer
