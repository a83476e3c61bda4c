-- Entries that nobody will ever be delivered: in the stream, not after the group's last-delivered-id, pending
-- nowhere. XGROUP DELCONSUMER drops what its consumer had pending, XGROUP SETID and CREATE pass over what was not
-- delivered, and so does whoever reads with NOACK or acknowledges by hand. A worker acknowledges, counts and deletes
-- an entry in one script, so none of its own is ever seen so.

-- Return the flat reply of XINFO as a table.
local function as_table(flat)
    local found = {}
    for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
    return found
end

-- Return what XINFO GROUPS tells of the group, or nil where there is no stream or no such group.
local function find_group(stream, name)
    if redis.call('EXISTS', stream) == 0 then
        return nil
    end
    for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
        local group = as_table(flat)
        if group.name == name then
            return group
        end
    end
    return nil
end

-- Return where to look for what comes after an entry, nil after the last possible one: Redis refuses to look there.
local function after_entry(id)
    return id ~= '18446744073709551615-18446744073709551615' and '(' .. id or nil
end

-- Tell whether a whole number is greater than another, both as text: it may be too big for a number of Lua.
local function is_greater(one, other)
    return #one > #other or (#one == #other and one > other)
end

-- Tell whether one entry id comes after another.
local function is_after(one, other)
    local one_ms, one_seq = string.match(one, '^(%d+)-(%d+)$')
    local other_ms, other_seq = string.match(other, '^(%d+)-(%d+)$')
    if one_ms ~= other_ms then
        return is_greater(one_ms, other_ms)
    end
    return is_greater(one_seq, other_seq)
end

-- Return the ids of such entries, at most `most`, from the id `from` on ('-': the first); and where to go on, '-' at
-- the end. Visits at most `visits` entries: those that are pending, and these; none that is yet to be delivered.
local function find_stuck(stream, group, from, most, visits)
    local stuck, to = {}, group['last-delivered-id']
    while #stuck < most and visits > 0 do
        local page = redis.call('XRANGE', stream, from, to, 'COUNT', math.min(visits, 1000))
        if #page == 0 then
            return stuck, '-'
        end
        local first, last = page[1][1], page[#page][1]
        local pending, at = {}, first
        repeat
            local found = redis.call('XPENDING', stream, group.name, at, last, 1000)
            for _, entry in ipairs(found) do
                pending[entry[1]] = true
                at = after_entry(entry[1])
            end
        until #found < 1000 or not at
        for _, entry in ipairs(page) do
            if not pending[entry[1]] then
                stuck[#stuck + 1] = entry[1]
                if #stuck == most then
                    return stuck, after_entry(entry[1]) or '-'
                end
            end
        end
        from, visits = after_entry(last), visits - #page
        if not from then
            return stuck, '-'
        end
    end
    return stuck, from
end
