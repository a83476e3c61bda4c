#!lua
-- Put a dead letter back on the stream, or drop it, in one step.
-- KEYS  1 stream  2 dead letters  3 counters
-- ARGV  1 the letter's id  2 'requeue' or 'drop'  3… names and values of fields that replace the letter's own
-- Returns the new entry's id ('' where it was dropped), or nil where the letter is not there (any more).
local letter = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
if not letter then
    return false
end
-- Lua does not roll back: what could make a write fail is looked for before the first one.
local types = {'stream', 'stream', 'hash'}
for i, expected in ipairs(types) do
    local found = redis.call('TYPE', KEYS[i]).ok
    if found ~= 'none' and found ~= expected then
        return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. found .. ', must be a ' .. expected)
    end
end
local field = ARGV[2] == 'drop' and 'dropped' or 'requeued'
local count = redis.call('HGET', KEYS[3], field)
if count and not string.match(count, '^%d+$') then
    return redis.error_reply('ERR ' .. KEYS[3] .. ' ' .. field .. ' is no whole number')
end

local id = ''
if ARGV[2] == 'requeue' then
    local last = #letter[2]
    -- The last three pairs are the worker's: reason, detail, origin.
    if letter[2][last - 1] == 'origin' then
        last = last - 6
    end
    local fields = {unpack(letter[2], 1, last)}
    for i = 3, #ARGV, 2 do
        local place
        for j = 1, #fields, 2 do
            if fields[j] == ARGV[i] then
                place = j
            end
        end
        place = place or #fields + 1
        fields[place], fields[place + 1] = ARGV[i], ARGV[i + 1]
    end
    id = redis.call('XADD', KEYS[1], '*', unpack(fields))
end
redis.call('XDEL', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[3], field, 1)
return id
