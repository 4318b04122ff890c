"""`read_decision(value, topic, partition, offset)`: what a record of the ledger says."""

from pyflink.table.udf import udf

from switchyard.flink.ledger_functions import DECISION_TYPE, ReadDecision

read_decision = udf(ReadDecision(), result_type=DECISION_TYPE, deterministic=False)
