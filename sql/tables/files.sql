-- The topics of an app as folders, for tests: one file a record, `<offset>.json` with key and value in base64.
-- A sink appends to a hidden file of the same folder, which sources pass over.
CREATE TEMPORARY TABLE agent_messages (
  `key` BYTES,
  `value` BYTES,
  `file` STRING NOT NULL METADATA FROM 'file.name' VIRTUAL,
  `topic` AS CAST('$agent_messages' AS STRING),
  `partition` AS 0,
  `offset` AS CAST(SPLIT_INDEX(`file`, '.', 0) AS BIGINT)
) WITH (
  'path' = '$folder/agent_messages',
  $watched
);

CREATE TEMPORARY TABLE routing_decisions (
  `key` BYTES,
  `value` BYTES,
  `file` STRING NOT NULL METADATA FROM 'file.name' VIRTUAL,
  `topic` AS CAST('$routing_decisions' AS STRING),
  `partition` AS 0,
  `offset` AS CAST(SPLIT_INDEX(`file`, '.', 0) AS BIGINT)
) WITH (
  'path' = '$folder/routing_decisions',
  $watched
);

CREATE TEMPORARY TABLE control (
  `key` BYTES,
  `value` BYTES,
  `file` STRING NOT NULL METADATA FROM 'file.name' VIRTUAL,
  `topic` AS CAST('$control' AS STRING),
  `partition` AS 0,
  `offset` AS CAST(SPLIT_INDEX(`file`, '.', 0) AS BIGINT)
) WITH (
  'path' = '$folder/control',
  $watched
);

CREATE TEMPORARY TABLE agent_inboxes (
  `key` BYTES,
  `value` BYTES,
  `topic` STRING
) WITH (
  'path' = '$folder/agent_inboxes',
  $written
);

CREATE TEMPORARY TABLE workflow_status (
  `key` BYTES,
  `value` BYTES
) WITH (
  'path' = '$folder/workflow_status',
  $written
);

CREATE TEMPORARY TABLE operator_audit (
  `key` BYTES,
  `value` BYTES
) WITH (
  'path' = '$folder/operator_audit',
  $written
);

CREATE TEMPORARY TABLE dead_letters (
  `key` BYTES,
  `value` BYTES
) WITH (
  'path' = '$folder/dead_letters',
  $written
);
