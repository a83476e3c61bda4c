#!lua
-- include: shared.lua
-- Read a consistent cut for a reconciliation, and claim it; or for an audit, without a claim.
-- KEYS  the ten of shared.lua
-- ARGV  1 token of the claim, '' for none  2 lease of a claim in µs
-- Returns nil where another reconciliation holds the claim; else JSON {id_ms, id_seq, in_stream: ids in one text,
-- suspect, shown, orders, revenue, hashes: [[field, value, …] of four], log: {added and length of the stream,
-- letters_added and letters of the dead letters, duplicates, dead, requeued, dropped, written_off}}.
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
local token, lease = ARGV[1], tonumber(ARGV[2])
local now = now_us()
if token ~= '' then
    local claim = redis.call('HGET', counters, 'cut')
    if claim and now < tonumber(string.match(claim, '^%d+') or '0') + lease then
        return false
    end
    redis.call('HSET', counters, 'cut', whole(now) .. ' ' .. token)
end

local function about(key)
    local facts = {['entries-added'] = 0, length = 0}
    if redis.call('EXISTS', key) == 1 then
        local info = redis.call('XINFO', 'STREAM', key)
        for i = 1, #info, 2 do
            facts[info[i]] = info[i + 1]
        end
    end
    return facts
end

-- The highest id that an entry can have had so far. A stream that was flushed remembers none, but ids carry the
-- time: every later entry has an id of this millisecond or a later one.
local ms, seq = whole(math.floor(now / 1000) - 1), '18446744073709551615'
local log, letters = about(stream), about(dead_stream)
if log['last-generated-id'] then
    local last_ms, last_seq = string.match(log['last-generated-id'], '^(%d+)-(%d+)$')
    if tonumber(last_ms) > tonumber(ms) then
        ms, seq = last_ms, last_seq
    end
end

-- Nothing can come after the last possible id, and Redis refuses to look there.
local last_possible = '18446744073709551615-18446744073709551615'
local in_stream, from = {}, '-'
repeat
    local page = redis.call('XRANGE', stream, from, '+', 'COUNT', 1000)
    for _, entry in ipairs(page) do
        in_stream[#in_stream + 1] = entry[1]
        from = '(' .. entry[1]
    end
until #page < 1000 or in_stream[#in_stream] == last_possible

local contents = {}
for i, key in ipairs(hashes) do
    contents[i] = redis.call('HGETALL', key)
end
return cjson.encode({
    id_ms = ms, id_seq = seq,
    in_stream = table.concat(in_stream, ' '),
    suspect = counter('suspect'), shown = whole(counter('shown')), orders = whole(totals[total_orders]),
    revenue = redis.call('GET', total_revenue) or '0',
    hashes = contents,
    log = {
        added = whole(log['entries-added']), length = whole(log.length),
        letters_added = whole(letters['entries-added']), letters = whole(letters.length),
        duplicates = redis.call('HGET', counters, 'duplicates') or '0',
        dead = redis.call('HGET', counters, 'dead') or '0',
        requeued = redis.call('HGET', counters, 'requeued') or '0',
        dropped = redis.call('HGET', counters, 'dropped') or '0',
        written_off = redis.call('HGET', counters, 'written_off') or '0',
    },
})
