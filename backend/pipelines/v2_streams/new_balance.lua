-- Note how many stored orders v2's log, which was lost, no longer accounts for.
-- KEYS  1 counters
-- ARGV  1 what was noted before, '' for nothing  2 how many more there are now
-- Returns 1 where it was noted, 0 where somebody else has noted something meanwhile.
if (redis.call('HGET', KEYS[1], 'written_off') or '') ~= ARGV[1] then
    return 0
end
redis.call('HINCRBY', KEYS[1], 'written_off', ARGV[2])
return 1
