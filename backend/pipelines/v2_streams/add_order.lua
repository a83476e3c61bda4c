-- Add an order to the stream unless its message id is known: check, add and remember in one step.
-- KEYS  1 stream  2 idempotency key of the message id
-- ARGV  1 content  2 milliseconds to remember it  3… names and values of the entry's fields
-- Returns 1 where it was added, 0 where the same order had been, -1 where another one had been.
local seen = redis.call('GET', KEYS[2])
if seen then
    return seen == ARGV[1] and 0 or -1
end
-- XADD comes first: Lua does not roll back, and a remembered order that was never added would be lost.
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
