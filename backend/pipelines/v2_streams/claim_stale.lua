-- Claim entries that another consumer has had for too long. Those that somebody has deleted meanwhile leave the group
-- with this call, and nobody is ever delivered them again; but one of them may have become a row before. So the
-- metrics are marked for a reconciliation, whatever becomes of who has asked.
-- KEYS  1 stream  2 counters of the lab
-- ARGV  1 group  2 consumer  3 ms of idleness  4 where to begin  5 most entries
-- Returns as XAUTOCLAIM: where to go on, the entries, the ids of those that were deleted.
local answer = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
if #answer[3] > 0 then
    redis.call('HINCRBY', KEYS[2], 'suspect', 1)
end
return answer
