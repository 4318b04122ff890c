"""`to_inbox(value, agent)`: what an agent that a record names gets."""

from pyflink.table.udf import udf

from switchyard.flink.ledger_functions import INBOX_TYPE, ToInbox

to_inbox = udf(ToInbox(), result_type=INBOX_TYPE, deterministic=False)
