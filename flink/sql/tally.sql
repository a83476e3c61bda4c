-- One row that holds every metric, so that Redis is written once a mini-batch and as a whole.
-- The hint: without it the tally would expire with the message ids and start again from 0.
CREATE TEMPORARY VIEW tally AS
SELECT /*+ STATE_TTL('counted' = '0s') */
{columns}
FROM counted
