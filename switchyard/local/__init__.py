"""The local stack: broker, Flink cluster, model and mail server, workers; each its own process."""
