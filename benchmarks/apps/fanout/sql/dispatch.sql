-- What is written to which inbox. `topic` is the inbox of `agent`; a WHERE here holds dispatches back.
INSERT INTO agent_inboxes
SELECT ENCODE(workflow_id, 'UTF-8'), ENCODE(event, 'UTF-8'), `topic`
FROM dispatches;
