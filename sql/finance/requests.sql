-- Trades become events. The ids are the trade's own, so that a trade that is read again is the same event.
INSERT INTO agent_messages
SELECT
  ENCODE(JSON_VALUE(data, '$.request_id'), 'UTF-8'),
  ENCODE(JSON_OBJECT(
    'specversion' VALUE '1.0',
    'id' VALUE JSON_VALUE(data, '$.request_id'),
    'source' VALUE 'switchyard/incoming-trades',
    'type' VALUE 'trade.requested',
    'datacontenttype' VALUE 'application/json',
    'workflowid' VALUE JSON_VALUE(data, '$.request_id'),
    'data' VALUE JSON(data)
  ), 'UTF-8')
FROM incoming_trades;

-- Which events are routed, and by which rule. Where rule_agents is null a model decides: here only about questions, and
-- about event types that are new. Rules read the columns of `events`: workflow_id, id, source, type, causation_id, hops,
-- and data as JSON text. The first rule that matches wins.
CREATE TEMPORARY VIEW routing_requests AS
SELECT
  *,
  CASE
    WHEN type = 'trade.requested' THEN ARRAY['market-analyst', 'risk-manager', 'sentiment-tracker']
    WHEN type = 'trade.requested.gathered' THEN ARRAY['portfolio-optimizer']
    WHEN type = 'research.requested' THEN ARRAY['research-agent']
    WHEN type = 'research.completed' THEN ARRAY['portfolio-optimizer']
    WHEN type = 'derivatives.requested' THEN ARRAY['options-strategist']
    WHEN type = 'market.moved' THEN ARRAY['market-analyst', 'risk-manager']
    WHEN type = 'news.published' THEN ARRAY['sentiment-tracker']
    WHEN type = 'portfolio.changed' THEN ARRAY['risk-manager', 'portfolio-optimizer']
    ELSE CAST(NULL AS ARRAY<STRING>)
  END AS rule_agents
FROM events;
