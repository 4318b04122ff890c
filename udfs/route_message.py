"""`route_message(value, topic, partition, offset, rule_agents)`: the decision about one event, as a ledger record."""

from pyflink.table import DataTypes
from pyflink.table.udf import udf

from switchyard.flink.routing_function import RouteMessage

route_message = udf(RouteMessage(), result_type=DataTypes.STRING(), deterministic=False)
