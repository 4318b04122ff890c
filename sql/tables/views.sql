-- What rules are written against.
-- Every event that is a CloudEvent and meets its contract. `data` is JSON text: JSON_VALUE(data, '$$.company').
CREATE TEMPORARY VIEW events AS
SELECT
  e.workflow_id, e.id, e.source, e.type, e.causation_id, e.data, e.hops, e.shard,
  `value`, `topic`, `partition`, `offset`
FROM checked_events
WHERE e.error IS NULL
UNION ALL
SELECT
  e.workflow_id, e.id, e.source, e.type, e.causation_id, e.data, e.hops, e.shard,
  `value`, `topic`, `partition`, `offset`
FROM checked_retries
WHERE e.error IS NULL;

CREATE TEMPORARY VIEW rejected_events AS
SELECT `value`, `topic`, `partition`, `offset`, e.error, e.error_field, e.error_message
FROM checked_events
WHERE e.error IS NOT NULL;

CREATE TEMPORARY VIEW rejected_retries AS
SELECT `value`, `topic`, `partition`, `offset`, e.error, e.error_field, e.error_message
FROM checked_retries
WHERE e.error IS NOT NULL;
