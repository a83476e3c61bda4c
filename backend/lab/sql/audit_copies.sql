-- Places on the log with more than one row. $1: version; $2: how many at most.
select source_id from orders where version = $1 group by source_id having count(*) > 1 order by source_id limit $2
