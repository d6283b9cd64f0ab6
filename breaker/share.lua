-- Tells how dependencies do for a process, and answers how they do for others. KEYS are two sets of each dependency: the
-- processes that leave it alone, and those that it has answered of late. ARGV are the time in ms (0: this server's), the
-- process, for how many ms its word counts, and of each dependency open, up or nothing. Answered are, of each dependency,
-- the numbers of other processes in both sets.
local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local me, counts = ARGV[2], tonumber(ARGV[3])
local sets = {'open', 'up'}
local answer = {}
for i, key in ipairs(KEYS) do
  if ARGV[4 + math.floor((i - 1) / 2)] == sets[(i - 1) % 2 + 1] then
    redis.call('ZADD', key, string.format('%.0f', now), me)
    redis.call('PEXPIRE', key, 10 * counts)
  else
    redis.call('ZREM', key, me)
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('(%.0f', now - counts))
  -- A clock that was set back must not keep those who are gone.
  redis.call('ZREMRANGEBYSCORE', key, string.format('(%.0f', now + counts), '+inf')
  answer[i] = redis.call('ZCARD', key)
  if redis.call('ZSCORE', key, me) then
    answer[i] = answer[i] - 1
  end
end
return answer
