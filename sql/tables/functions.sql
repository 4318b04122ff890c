-- The functions that check what is read; see udfs/checks.py.
CREATE TEMPORARY FUNCTION check_event AS 'udfs.checks.check_event' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION check_data AS 'udfs.checks.check_data' LANGUAGE PYTHON;
