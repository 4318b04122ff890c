-- The whole orchestration in plain SQL: one statement decides into the ledger, one acts on what comes back from it.
-- The app's requests.sql makes `routing_requests`; its dispatch.sql writes `dispatches` into the inboxes.
CREATE TEMPORARY FUNCTION route_message AS 'udfs.route_message.route_message' LANGUAGE PYTHON;

-- Decide, by rule, guard or model. The record holds the event, so that it can be acted on alone.
INSERT INTO routing_decisions
SELECT
  ENCODE(CAST(shard AS STRING), 'UTF-8'),
  ENCODE(route_message(`value`, `topic`, `partition`, `offset`, rule_agents), 'UTF-8')
FROM routing_requests;

-- Act on the first record per event: an event that is decided twice, after a crash or as a repeat, is acted on once.
CREATE TEMPORARY VIEW first_decisions AS
SELECT workflow_id, agents, dead_letter, `value`
FROM (
  SELECT d.workflow_id, d.agents, d.dead_letter, `value`,
    ROW_NUMBER() OVER (PARTITION BY d.subject, d.attempt ORDER BY read_at) AS nth
  FROM (
    SELECT read_decision(`value`, `topic`, `partition`, `offset`) AS d, `value`, PROCTIME() AS read_at
    FROM routing_decisions_source
  )
  WHERE d.subject IS NOT NULL
)
WHERE nth = 1;

-- Every agent that a decision names gets the event; the app's dispatch.sql writes it:
-- INSERT INTO agent_inboxes SELECT ENCODE(workflow_id, 'UTF-8'), ENCODE(event, 'UTF-8'), `topic` FROM dispatches
CREATE TEMPORARY VIEW dispatches AS
SELECT workflow_id, agent, i.`topic`, i.dispatch_id, i.event_type, i.event
FROM (
  SELECT workflow_id, agent, to_inbox(`value`, agent) AS i
  FROM first_decisions CROSS JOIN UNNEST(agents) AS named (agent)
);

INSERT INTO dead_letters
SELECT ENCODE(workflow_id, 'UTF-8'), ENCODE(dead_letter, 'UTF-8')
FROM first_decisions
WHERE dead_letter IS NOT NULL;
