"""`rejected_input(value, topic, partition, offset, error, error_field, error_message)`: its dead letter."""

from pyflink.table import DataTypes
from pyflink.table.udf import udf

from switchyard.flink.ledger_functions import RejectedInput

rejected_input = udf(RejectedInput(), result_type=DataTypes.STRING(), deterministic=False)
