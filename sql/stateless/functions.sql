-- What SQL cannot do itself: see udfs/.
CREATE TEMPORARY FUNCTION read_decision AS 'udfs.read_decision.read_decision' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION to_inbox AS 'udfs.to_inbox.to_inbox' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION rejected_input AS 'udfs.rejected_input.rejected_input' LANGUAGE PYTHON;
