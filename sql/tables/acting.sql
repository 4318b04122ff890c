-- What the orchestrator did, as views; and where its decisions, statuses and dead letters are written.
-- Dispatches are written by the app's own dispatch.sql.
CREATE TEMPORARY VIEW dispatches AS
SELECT workflow_id, agent, `topic`, dispatch_id, event_type, `value` AS event
FROM orchestrator_output
WHERE kind = 'dispatch';

INSERT INTO routing_decisions
SELECT ENCODE(CAST(shard AS STRING), 'UTF-8'), ENCODE(`value`, 'UTF-8')
FROM orchestrator_output
WHERE kind = 'decision';

INSERT INTO agent_messages
SELECT ENCODE(workflow_id, 'UTF-8'), ENCODE(`value`, 'UTF-8')
FROM orchestrator_output
WHERE kind = 'event';

INSERT INTO workflow_status
SELECT ENCODE(workflow_id, 'UTF-8'), ENCODE(`value`, 'UTF-8')
FROM orchestrator_output
WHERE kind = 'status';

INSERT INTO control
SELECT ENCODE(CAST(shard AS STRING), 'UTF-8'), ENCODE(`value`, 'UTF-8')
FROM orchestrator_output
WHERE kind = 'control';

INSERT INTO operator_audit
SELECT ENCODE(dispatch_id, 'UTF-8'), ENCODE(`value`, 'UTF-8')
FROM orchestrator_output
WHERE kind = 'audit';

INSERT INTO dead_letters
SELECT ENCODE(COALESCE(workflow_id, ''), 'UTF-8'), ENCODE(`value`, 'UTF-8')
FROM orchestrator_output
WHERE kind = 'dead-letter';
