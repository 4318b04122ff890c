-- Each event is checked once; `agent_messages_source` is the Kafka table with an operator id of its own.
CREATE TEMPORARY VIEW checked_events AS
SELECT `value`, `topic`, `partition`, `offset`, check_event(`value`) AS e
FROM agent_messages_source;
