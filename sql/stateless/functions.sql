-- What SQL cannot do itself: see udfs/ledger.py.
CREATE TEMPORARY FUNCTION read_decision AS 'udfs.ledger.read_decision' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION to_inbox AS 'udfs.ledger.to_inbox' LANGUAGE PYTHON;
CREATE TEMPORARY FUNCTION rejected_input AS 'udfs.ledger.rejected_input' LANGUAGE PYTHON;
