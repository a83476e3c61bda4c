-- Keep which record was acknowledged last of a partition. Several APIs do: the last one of all stands.
-- KEYS[1]   hash: partition → offset and time (ms since 1970) of its last acknowledged record
-- ARGV      partition, offset, time; and so on
for at = 1, #ARGV, 3 do
    local kept = redis.call('HGET', KEYS[1], ARGV[at])
    if not kept or tonumber(ARGV[at + 1]) > tonumber(string.match(kept, '^%d+') or -1) then
        redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1] .. ' ' .. ARGV[at + 2])
    end
end
return redis.status_reply('OK')
