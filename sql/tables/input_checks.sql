-- Each object of an input topic is checked once.
CREATE TEMPORARY VIEW checked_$table AS
SELECT `value`, `topic`, `partition`, `offset`, check_data('$type', `value`) AS c
FROM ${table}_topic_source;
