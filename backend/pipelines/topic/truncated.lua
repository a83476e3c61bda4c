-- Count the records that a partition has lost with its end, once, and forget the last one of them. Whoever else found
-- that out before has done it.
-- KEYS[1]   hash: partition → offset and time of its last acknowledged record; <partition>:truncated → records
-- ARGV[1]   partition
-- ARGV[2]   what is kept of it
-- ARGV[3]   records that are gone, up to and with that one
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
    return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
return redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':truncated', ARGV[3])
