-- name: count_rows
-- Rows of each pipeline, all of one moment.
select version, count(*) as rows from orders group by version
