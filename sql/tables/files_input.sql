-- One input topic of the app as a folder.
CREATE TEMPORARY TABLE ${table}_topic (
  `key` BYTES,
  `value` BYTES,
  `file` STRING NOT NULL METADATA FROM 'file.name' VIRTUAL,
  `topic` AS CAST('$topic' AS STRING),
  `partition` AS 0,
  `offset` AS CAST(SPLIT_INDEX(`file`, '.', 0) AS BIGINT)
) WITH (
  'path' = '$folder/${table}_topic',
  $watched
);
