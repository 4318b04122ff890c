-- A rule for one type; a model decides about the other.
CREATE TEMPORARY VIEW routing_requests AS
SELECT *, CASE WHEN type = 'bench.ruled' THEN ARRAY['echo'] ELSE CAST(NULL AS ARRAY<STRING>) END AS rule_agents
FROM events;
