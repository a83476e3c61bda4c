-- What cannot be stored becomes a dead letter.
INSERT INTO dead_orders
SELECT
    CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING),
    JSON_OBJECT(
        'reason' VALUE reason, 'partition' VALUE `partition`, 'offset' VALUE `offset`,
        -- Escaped, a text may grow sixfold: a letter that the broker refuses as too large would loop the job.
        'text' VALUE SUBSTRING(`value`, 1, 100000) NULL ON NULL
    )
FROM judged_orders
WHERE reason IS NOT NULL
