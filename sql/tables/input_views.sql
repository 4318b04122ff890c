-- Every object of the topic that meets the contract of $type; `data` is its JSON text.
CREATE TEMPORARY VIEW $table AS
SELECT c.data, `topic`, `partition`, `offset`
FROM checked_$table
WHERE c.error IS NULL;

CREATE TEMPORARY VIEW rejected_$table AS
SELECT `value`, `topic`, `partition`, `offset`, c.error, c.error_field, c.error_message
FROM checked_$table
WHERE c.error IS NOT NULL;
