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

-- Lua does not roll back: whatever could make a write fail is looked for before the first one.
local function find_fault()
    local types = {'stream', 'stream', 'hash', 'hash', 'string', 'hash', 'hash', 'hash', 'hash', 'string'}
    for i, expected in ipairs(types) do
        local found = redis.call('TYPE', KEYS[i]).ok
        if found ~= 'none' and found ~= expected then
            return 'WRONGTYPE ' .. KEYS[i] .. ' is a ' .. found .. ', must be a ' .. expected .. '; delete it'
        end
    end
    for _, key in ipairs({total_revenue, total_orders}) do
        local value = redis.call('GET', key)
        if value and not is_integer(value) then
            return 'ERR ' .. key .. ' is no whole number; delete it'
        end
    end
    for _, key in ipairs({latency, hashes[1], hashes[2], hashes[3], hashes[4]}) do
        for _, value in ipairs(redis.call('HVALS', key)) do
            if not is_integer(value) then
                return 'ERR ' .. key .. ' holds a value that is no whole number; delete it'
            end
        end
    end
    local fields = {'duplicates', 'dead', 'shown', 'suspect', 'reconciled'}
    for i, value in ipairs(redis.call('HMGET', counters, unpack(fields))) do
        if value and not is_integer(value) then
            return 'ERR ' .. counters .. ' ' .. fields[i] .. ' is no whole number; delete it'
        end
    end
end

local function shown()
    return tonumber(redis.call('HGET', counters, 'shown') or '0')
end

local function shown_orders()
    return tonumber(redis.call('GET', total_orders) or '0')
end

-- The metrics are all there, agree with one another and with their second copy, and are not marked for
-- reconciliation.
local function is_consistent()
    if redis.call('EXISTS', unpack(KEYS, 5, 10)) < 6 or redis.call('HEXISTS', counters, 'suspect') == 1 then
        return false
    end
    local orders, revenue = shown_orders(), tonumber(redis.call('GET', total_revenue))
    return orders == shown()
        and orders == sum(hashes[1]) and revenue == sum(hashes[2])
        and orders == sum(hashes[3]) and revenue == sum(hashes[4])
end
