"""`check_data(type, value)`: an input object as JSON text, or why it breaks the contract of its type."""

from pyflink.table.udf import udf

from switchyard.flink.input_functions import DATA_TYPE, CheckData

check_data = udf(CheckData(), result_type=DATA_TYPE, deterministic=False)
