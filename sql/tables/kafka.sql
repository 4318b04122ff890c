-- The topics of an app. Keys and values are raw bytes; what they hold is checked in views.sql, in one place.
CREATE TEMPORARY TABLE agent_messages (
  `key` BYTES,
  `value` BYTES,
  `topic` STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL
) WITH (
  'topic' = '$agent_messages',
  $start,
  $kafka
);

CREATE TEMPORARY TABLE routing_decisions (
  `key` BYTES,
  `value` BYTES,
  `topic` STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL
) WITH (
  'topic' = '$routing_decisions',
  $start,
  $kafka
);

-- What operators ask for: cancel, approve, pause and the like.
CREATE TEMPORARY TABLE control (
  `key` BYTES,
  `value` BYTES,
  `topic` STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL
) WITH (
  'topic' = '$control',
  $start,
  $kafka
);

-- One table for all inboxes: the column `topic` says which, and may only be one of these.
CREATE TEMPORARY TABLE agent_inboxes (
  `key` BYTES,
  `value` BYTES,
  `topic` STRING METADATA
) WITH (
  'topic' = '$agent_inboxes',
  $kafka
);

CREATE TEMPORARY TABLE workflow_status (
  `key` BYTES,
  `value` BYTES
) WITH (
  'topic' = '$workflow_status',
  $kafka
);

-- What became of what operators asked for.
CREATE TEMPORARY TABLE operator_audit (
  `key` BYTES,
  `value` BYTES
) WITH (
  'topic' = '$audit',
  $kafka
);

-- base64 makes a third more of the largest record that any source may hold.
CREATE TEMPORARY TABLE dead_letters (
  `key` BYTES,
  `value` BYTES
) WITH (
  'topic' = '$dead_letters',
  'properties.max.request.size' = '$largest_dead_letter',
  $kafka
);
