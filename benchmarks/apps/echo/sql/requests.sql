-- No rule: a model decides about every event.
CREATE TEMPORARY VIEW routing_requests AS
SELECT *, CAST(NULL AS ARRAY<STRING>) AS rule_agents
FROM events;
