"""`check_event(value, topic)`: a CloudEvent's attributes and data, or why the bytes are none."""

from pyflink.table.udf import udf

from switchyard.flink.input_functions import EVENT_TYPE, CheckEvent

check_event = udf(CheckEvent(), result_type=EVENT_TYPE, deterministic=False)
