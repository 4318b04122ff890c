-- What comes in becomes an event. The ids are the request's own, so that one that is read again is the same event.
INSERT INTO agent_messages
SELECT
  ENCODE(JSON_VALUE(data, '$.request_id'), 'UTF-8'),
  ENCODE(JSON_OBJECT(
    'specversion' VALUE '1.0',
    'id' VALUE JSON_VALUE(data, '$.request_id'),
    'source' VALUE 'switchyard/incoming-requests',
    'type' VALUE 'request.received',
    'datacontenttype' VALUE 'application/json',
    'workflowid' VALUE JSON_VALUE(data, '$.request_id'),
    'data' VALUE JSON(data)
  ), 'UTF-8')
FROM incoming_requests;

-- Which events are routed, and by which rule. Where rule_agents is null a model decides.
-- Rules read the columns of `events`: workflow_id, id, source, type, causation_id, hops, and data as JSON text, for
-- example JSON_VALUE(data, '$.kind') = 'question'. The first rule that matches wins.
CREATE TEMPORARY VIEW routing_requests AS
SELECT
  *,
  CASE
    WHEN type = 'request.received' THEN ARRAY['triage']
    ELSE CAST(NULL AS ARRAY<STRING>)
  END AS rule_agents
FROM events;
