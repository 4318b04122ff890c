UNION ALL
SELECT 0, 'rejected', `value`, `topic`, `partition`, `offset`,
  CAST(NULL AS ARRAY<STRING>), error, error_field, error_message
FROM $view
