-- One input topic of the app, such as incoming-leads.
CREATE TEMPORARY TABLE ${table}_topic (
  `key` BYTES,
  `value` BYTES,
  `topic` STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL
) WITH (
  'topic' = '$topic',
  $start,
  $kafka
);
