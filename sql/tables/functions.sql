-- The functions that check what is read; see udfs/check_event.py and udfs/check_data.py.
CREATE TEMPORARY FUNCTION check_event AS 'udfs.check_event.check_event' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION check_data AS 'udfs.check_data.check_data' LANGUAGE PYTHON;
