-- The ledger as columns, one row for each decision in it, for an app's own sinks: see sql/README.md.
-- Of two with one subject and attempt the one with the lower ledger_offset is in force.
CREATE TEMPORARY VIEW decisions AS
SELECT
  ledger_partition,
  ledger_offset,
  TO_TIMESTAMP_LTZ(TRY_CAST(JSON_VALUE(record, '$.at') AS BIGINT), 3) AS decided_at,
  JSON_VALUE(record, '$.workflow_id') AS workflow_id,
  JSON_VALUE(record, '$.subject') AS subject,
  TRY_CAST(JSON_VALUE(record, '$.attempt') AS INT) AS attempt,
  TRY_CAST(JSON_VALUE(record, '$.step') AS INT) AS step,
  JSON_VALUE(record, '$.action') AS action,
  JSON_QUERY(record, '$.agents' RETURNING ARRAY<STRING>) AS agents,
  JSON_QUERY(record, '$.candidates' RETURNING ARRAY<STRING>) AS candidates,
  JSON_QUERY(record, '$.failed' RETURNING ARRAY<STRING>) AS failed,
  JSON_VALUE(record, '$.decided_by') AS decided_by,
  JSON_VALUE(record, '$.reason') AS reason,
  JSON_VALUE(record, '$.code') AS code,
  TRY_CAST(JSON_VALUE(record, '$.confidence') AS DOUBLE) AS confidence,
  JSON_VALUE(record, '$.model') AS model,
  TRY_CAST(JSON_VALUE(record, '$.model_calls') AS INT) AS model_calls,
  TRY_CAST(JSON_VALUE(record, '$.prompt_tokens') AS INT) AS prompt_tokens,
  TRY_CAST(JSON_VALUE(record, '$.completion_tokens') AS INT) AS completion_tokens,
  TRY_CAST(JSON_VALUE(record, '$.cost') AS DOUBLE) AS cost,
  TRY_CAST(JSON_VALUE(record, '$.latency_ms') AS DOUBLE) AS latency_ms,
  TRY_CAST(JSON_VALUE(record, '$.elapsed_ms') AS BIGINT) AS elapsed_ms,
  JSON_VALUE(record, '$.event') AS event,
  record
FROM (
  SELECT `partition` AS ledger_partition, `offset` AS ledger_offset, DECODE(`value`, 'UTF-8') AS record
  FROM routing_decisions_source
)
WHERE JSON_VALUE(record, '$.kind') = 'decision';
