-- What could not be read is kept whole.
INSERT INTO dead_letters
SELECT ENCODE('', 'UTF-8'),
  ENCODE(rejected_input(`value`, `topic`, `partition`, `offset`, error, error_field, error_message), 'UTF-8')
FROM $view;
