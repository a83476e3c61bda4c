-- What the scripts share.
-- KEYS  1 stream  2 dead letters  3 counters  4 latency  5 total_revenue  6 drink_counts  7 drink_revenue
--       8 store_counts  9 store_revenue  10 total_orders: the six metrics in the order in which they are written
-- Fields of the counters used here: duplicates, dead; shown, a second copy of total_orders by which a flush of the
-- metrics is noticed; suspect, a count of reasons to reconcile; cut, the token of a reconciliation under way;
-- reconciled, how many there were; last_update_us.
local stream, dead_stream, counters, latency = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local total_revenue, total_orders = KEYS[5], KEYS[10]
local hashes = {KEYS[6], KEYS[7], KEYS[8], KEYS[9]} -- drink counts and revenue, store counts and revenue

-- include: ../numbers.lua

local FIELDS = {'duplicates', 'dead', 'shown', 'suspect', 'reconciled'}
-- What find_fault() has read: the value of each metric, of a hash the sum of its fields; and the counters.
local totals, found = {}, {}

-- Lua does not roll back: whatever could make a write fail is looked for before the first one.
local function find_fault()
    local types = {'stream', 'stream', 'hash', 'hash', 'string', 'hash', 'hash', 'hash', 'hash', 'string'}
    for i, expected in ipairs(types) do
        local kind = redis.call('TYPE', KEYS[i]).ok
        if kind ~= 'none' and kind ~= expected then
            return 'WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', must be a ' .. expected .. '; delete it'
        end
    end
    for _, key in ipairs({total_revenue, total_orders}) do
        local value = redis.call('GET', key)
        if value and not is_integer(value) then
            return 'ERR ' .. key .. ' is no whole number; delete it'
        end
        totals[key] = tonumber(value or '0')
    end
    for _, key in ipairs(hashes) do
        totals[key] = 0
        for _, value in ipairs(redis.call('HVALS', key)) do
            if not is_integer(value) then
                return 'ERR ' .. key .. ' holds a value that is no whole number; delete it'
            end
            totals[key] = totals[key] + tonumber(value)
        end
    end
    for i, value in ipairs(redis.call('HMGET', counters, unpack(FIELDS))) do
        if value and not is_integer(value) then
            return 'ERR ' .. counters .. ' ' .. FIELDS[i] .. ' is no whole number; delete it'
        end
        found[FIELDS[i]] = value
    end
end

local function counter(field)
    return tonumber(found[field] or '0')
end

-- The metrics are all there, agree with one another and with their second copy, and are not marked for
-- reconciliation.
local function is_consistent()
    if redis.call('EXISTS', unpack(KEYS, 5, 10)) < 6 or found.suspect then
        return false
    end
    local orders, revenue = totals[total_orders], totals[total_revenue]
    return orders == counter('shown')
        and orders == totals[hashes[1]] and revenue == totals[hashes[2]]
        and orders == totals[hashes[3]] and revenue == totals[hashes[4]]
end
