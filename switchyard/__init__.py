"""Switchyard: AI agents on the Kafka and Flink you already trust."""

__version__ = "0.1.0"
