-- Which of these places on the log have a row. $1: version; $2: places.
select source_id from orders where version = $1 and source_id = any($2::text[])
