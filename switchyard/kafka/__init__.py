"""Kafka: the connection, the login, topics and records."""
