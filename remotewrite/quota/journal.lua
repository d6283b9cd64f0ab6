-- Appends to the journal of a slice, KEYS[1], and reads on. ARGV are its time to live in ms, the name that it gets where it
-- begins, the name that the receiver knows, how far it has read, what it appends, how much to read and how long the journal
-- may become. Answered are the journal's name, from where on it was read, what was read, how long the journal is, and 1 where
-- it would have become too long.
local head = redis.call('GETRANGE', KEYS[1], 0, 15)
if head == '' and ARGV[5] ~= '' then
  head = ARGV[2]
  redis.call('SET', KEYS[1], head, 'PX', ARGV[1])
end
local size = redis.call('STRLEN', KEYS[1])
local full = ARGV[5] ~= '' and size + #ARGV[5] > tonumber(ARGV[7])
if ARGV[5] ~= '' and not full then
  size = redis.call('APPEND', KEYS[1], ARGV[5])
end
local offset = tonumber(ARGV[4])
if head ~= ARGV[3] then offset = 16 end
if head == '' then offset = 0 end
return {head, offset, redis.call('GETRANGE', KEYS[1], offset, offset + ARGV[6] - 1), size, full and 1 or 0}
