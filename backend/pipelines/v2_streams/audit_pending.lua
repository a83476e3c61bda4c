#!lua flags=no-writes
-- include: stuck.lua
-- Compare what was delivered with what is there.
-- KEYS  1 stream  2 dead letters
-- ARGV  1 group
-- Returns JSON {pending: how many entries are pending, gone: ids of pending entries that are no longer in the stream,
-- in_stream: ids, origins: of the dead letters, stuck: ids of entries that are pending nowhere}, the last four as one
-- text each.
local pending, gone, in_stream, origins = 0, {}, {}, {}

local function each_entry(key, visit)
    local from = '-'
    repeat
        local page = redis.call('XRANGE', key, from, '+', 'COUNT', 1000)
        for _, entry in ipairs(page) do
            visit(entry)
            from = after_entry(entry[1])
        end
    until #page < 1000 or not from
end

each_entry(KEYS[1], function(entry) in_stream[#in_stream + 1] = entry[1] end)
each_entry(KEYS[2], function(entry)
    local fields = entry[2]
    -- The worker puts its own fields last; a field of the same name that came with the entry stands before them.
    if fields[#fields - 1] == 'origin' and string.match(fields[#fields], '^%d+-%d+$') then
        origins[#origins + 1] = fields[#fields]
    end
end)

local group, stuck = find_group(KEYS[1], ARGV[1]), {}
if group then
    stuck = find_stuck(KEYS[1], group, '-', math.huge, math.huge)
    local from = '-'
    repeat
        local page = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 1000)
        for _, entry in ipairs(page) do
            pending = pending + 1
            if #redis.call('XRANGE', KEYS[1], entry[1], entry[1]) == 0 then
                gone[#gone + 1] = entry[1]
            end
            from = after_entry(entry[1])
        end
    until #page < 1000 or not from
end
return cjson.encode({
    pending = pending, gone = table.concat(gone, ' '), stuck = table.concat(stuck, ' '),
    in_stream = table.concat(in_stream, ' '), origins = table.concat(origins, ' '),
})
