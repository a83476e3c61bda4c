-- Rows whose source is no place on the pipeline's log. $1: version; $2: what a place looks like.
select count(*) from orders where version = $1 and source_id !~ $2
