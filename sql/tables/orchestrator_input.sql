-- All that the orchestrator reads: events to decide about, records of its ledger, requests of operators, and what could not be read.
CREATE TEMPORARY VIEW orchestrator_input AS
SELECT shard, 'event' AS kind, `value`, `topic`, `partition`, `offset`, rule_agents,
  CAST(NULL AS STRING) AS error, CAST(NULL AS STRING) AS error_field, CAST(NULL AS STRING) AS error_message
FROM routing_requests
UNION ALL
SELECT COALESCE(TRY_CAST(DECODE(`key`, 'UTF-8') AS INT), -1), 'record', `value`, `topic`, `partition`, `offset`,
  CAST(NULL AS ARRAY<STRING>), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING)
FROM routing_decisions_source
UNION ALL
SELECT COALESCE(TRY_CAST(DECODE(`key`, 'UTF-8') AS INT), -1), 'control', `value`, `topic`, `partition`, `offset`,
  CAST(NULL AS ARRAY<STRING>), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING)
FROM controls
WHERE NOT is_retry
$rejected;
