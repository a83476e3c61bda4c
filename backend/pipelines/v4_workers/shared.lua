-- What the scripts share.
-- KEYS  1 offsets  2 counters  3 latency  4 message ids counted of late  5 those of the time before
--       6 total_revenue  7 drink_counts  8 drink_revenue  9 store_counts  10 store_revenue  11 total_orders: the six
--       metrics in the order in which they are written  12 the last record counted of each partition
-- Fields of the counters: duplicates, dead; shown_orders, a second copy of total_orders by which a flush of the
-- metrics is noticed; suspect, a count of reasons to reconcile; settled, the doubts of the workers that have been
-- reconciled; reconciled, how often that or a replay was done; history_orders, how many were shown before a replay;
-- ids_since_us, since when the younger ids are collected; counted_since_us, since when all that is counted is
-- remembered: when the first batch came after a replay, a flush, or ever; last_update_us.
local offsets, counters, latency, new_ids, old_ids = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local total_revenue, total_orders = KEYS[6], KEYS[11]
local last_records = KEYS[12]
local hashes = {KEYS[7], KEYS[8], KEYS[9], KEYS[10]} -- drink counts and revenue, store counts and revenue

-- include: ../numbers.lua

local FIELDS = {
    'duplicates', 'dead', 'shown_orders', 'suspect', 'reconciled', 'settled', 'history_orders', 'ids_since_us',
    'counted_since_us'
}
-- What find_fault() has read: the value of each metric, of a hash the sum of its fields; and the counters.
local totals, found = {}, {}

-- Lua does not roll back: whatever could make a write fail is looked for before the first one.
local function find_fault()
    local types = {'hash', 'hash', 'hash', 'set', 'set', 'string', 'hash', 'hash', 'hash', 'hash', 'string', 'hash'}
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
    for _, key in ipairs({offsets, unpack(hashes)}) do
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

-- The metrics agree with one another and with their second copy, and are not marked for reconciliation.
local function is_consistent()
    local orders, revenue = totals[total_orders], totals[total_revenue]
    return orders == counter('shown_orders') and not found.suspect
        and orders == totals[hashes[1]] and revenue == totals[hashes[2]]
        and orders == totals[hashes[3]] and revenue == totals[hashes[4]]
end
