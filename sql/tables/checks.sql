-- Each event is checked once; `agent_messages_source` is the Kafka table with an operator id of its own.
CREATE TEMPORARY VIEW checked_events AS
SELECT `value`, `topic`, `partition`, `offset`, check_event(`value`, `topic`) AS e
FROM agent_messages_source;

-- What operators ask for; `retries` are requests to send an event again, which the same rules are for.
CREATE TEMPORARY VIEW controls AS
SELECT
  `key`, `value`, `topic`, `partition`, `offset`,
  COALESCE(JSON_VALUE(DECODE(`value`, 'UTF-8'), '$$.type') = 'control.retry', FALSE) AS is_retry
FROM control_source;

CREATE TEMPORARY VIEW checked_retries AS
SELECT `value`, `topic`, `partition`, `offset`, check_event(`value`, `topic`) AS e
FROM controls
WHERE is_retry;
