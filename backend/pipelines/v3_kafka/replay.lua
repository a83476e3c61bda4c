-- Begin a replay of v3 in one step: another epoch, from which on the old job may not write, and nothing shown.
-- KEYS  1 fence  2–7 the six metrics  8 counters  9… the last records, the windows and what belongs to them
-- Returns the new epoch, or nil where there is none to follow: a flush took it, and its keeper puts it back.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return false end
-- Lua does not roll back: a key of a wrong type fails here, before the first write.
local known = redis.call('HMGET', KEYS[8], 'shown_orders', 'history_orders')
local next_epoch = redis.call('INCR', KEYS[1])
redis.call('DEL', unpack(KEYS, 2, 7))
redis.call('DEL', unpack(KEYS, 9))
redis.call('HDEL', KEYS[8], 'shown_orders', 'shown_accepted_us', 'duplicates', 'dead', 'refused')
-- How many orders have been visible before: they are not counted in the latency when they are shown again.
local shown, history = tonumber(known[1]) or 0, tonumber(known[2]) or 0
redis.call('HSET', KEYS[8], 'history_orders', string.format('%.0f', math.max(shown, history)))
return tostring(next_epoch)
