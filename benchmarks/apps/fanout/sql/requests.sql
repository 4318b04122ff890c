-- A rule for every question: no model is asked who answers it.
CREATE TEMPORARY VIEW routing_requests AS
SELECT
  *,
  CASE
    WHEN type IN ('quick.asked', 'slow.asked') THEN ARRAY['hawk', 'dove', 'owl']
    WHEN type = 'single.asked' THEN ARRAY['hawk']
    ELSE CAST(NULL AS ARRAY<STRING>)
  END AS rule_agents
FROM events;
