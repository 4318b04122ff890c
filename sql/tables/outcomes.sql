-- What the orchestrator writes about workflows and bad input, as columns, for an app's own sinks: see sql/README.md.
CREATE TEMPORARY VIEW workflow_statuses AS
SELECT
  JSON_VALUE(record, '$.id') AS status_id,
  workflow_id,
  JSON_VALUE(record, '$.data.status') AS status,
  JSON_VALUE(record, '$.data.code') AS code,
  JSON_VALUE(record, '$.data.reason') AS reason,
  TO_TIMESTAMP_LTZ(TRY_CAST(JSON_VALUE(record, '$.data.started_at') AS BIGINT), 3) AS started_at,
  TO_TIMESTAMP_LTZ(TRY_CAST(JSON_VALUE(record, '$.data.ended_at') AS BIGINT), 3) AS ended_at,
  TRY_CAST(JSON_VALUE(record, '$.data.hops') AS INT) AS hops,
  TRY_CAST(JSON_VALUE(record, '$.data.steps') AS INT) AS steps,
  TRY_CAST(JSON_VALUE(record, '$.data.dispatches') AS INT) AS dispatches,
  TRY_CAST(JSON_VALUE(record, '$.data.model_calls') AS INT) AS model_calls,
  TRY_CAST(JSON_VALUE(record, '$.data.tokens') AS BIGINT) AS tokens,
  TRY_CAST(JSON_VALUE(record, '$.data.cost') AS DOUBLE) AS cost,
  TRY_CAST(JSON_VALUE(record, '$.data.duplicates') AS INT) AS duplicates,
  TRY_CAST(JSON_VALUE(record, '$.data.dead_letters') AS INT) AS dead_letters,
  record
FROM (SELECT workflow_id, `value` AS record FROM orchestrator_output WHERE kind = 'status' AND `value` IS NOT NULL);

CREATE TEMPORARY VIEW dead_letters_written AS
SELECT
  workflow_id,
  TO_TIMESTAMP_LTZ(TRY_CAST(JSON_VALUE(record, '$.time') AS BIGINT), 3) AS written_at,
  JSON_VALUE(record, '$.reason') AS reason,
  JSON_VALUE(record, '$.field') AS error_field,
  JSON_VALUE(record, '$.message') AS error_message,
  JSON_VALUE(record, '$.topic') AS read_topic,
  TRY_CAST(JSON_VALUE(record, '$.partition') AS INT) AS read_partition,
  TRY_CAST(JSON_VALUE(record, '$.offset') AS BIGINT) AS read_offset,
  TRY_CAST(JSON_VALUE(record, '$.attempt') AS INT) AS attempt,
  JSON_VALUE(record, '$.event_id') AS event_id,
  JSON_VALUE(record, '$.original') AS original,
  record
FROM (SELECT workflow_id, `value` AS record FROM orchestrator_output WHERE kind = 'dead-letter');
