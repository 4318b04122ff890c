"""The jobs: the operator, SQL loading, Flink's REST API, work-arounds for PyFlink."""
