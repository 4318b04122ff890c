-- Leads from the website become events. The ids are the lead's own, so that a lead that is read again is the same event.
INSERT INTO agent_messages
SELECT
  ENCODE(JSON_VALUE(data, '$.lead_id'), 'UTF-8'),
  ENCODE(JSON_OBJECT(
    'specversion' VALUE '1.0',
    'id' VALUE JSON_VALUE(data, '$.lead_id'),
    'source' VALUE 'switchyard/incoming-leads',
    'type' VALUE 'lead.created',
    'datacontenttype' VALUE 'application/json',
    'workflowid' VALUE JSON_VALUE(data, '$.lead_id'),
    'data' VALUE JSON(data)
  ), 'UTF-8')
FROM incoming_leads;

-- Which events are routed, and by which rule. Where rule_agents is null a model decides.
-- Rules read the columns of `events`: workflow_id, id, source, type, causation_id, hops, and data as JSON text, for
-- example JSON_VALUE(data, '$.next_step') = 'nurture'. The first rule that matches wins.
CREATE TEMPORARY VIEW routing_requests AS
SELECT
  *,
  CASE
    -- Remove the two dashes from the next line, and no model is asked about new leads:
    -- WHEN type = 'lead.created' THEN ARRAY['lead-ingestion']
    WHEN FALSE THEN ARRAY['']
    ELSE CAST(NULL AS ARRAY<STRING>)
  END AS rule_agents
FROM events;
