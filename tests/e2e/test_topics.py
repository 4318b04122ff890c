"""What `submit` finds in Kafka itself about the topics of an app."""

from __future__ import annotations

import secrets

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions

from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.report import silent
from switchyard.core.shards import shard_keys
from switchyard.core.topics import LARGEST_RECORD, Topics
from switchyard.deployment.submit import prepare_topics
from switchyard.kafka.admin import Cluster, topic_settings
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo

pytestmark = pytest.mark.e2e


def test_topics_that_somebody_changed_are_refused(info: StackInfo) -> None:
    app, cluster = App.load("sdr"), Cluster(KafkaConnection(info.kafka))
    topics = Topics(f"topics-{secrets.token_hex(4)}")
    for _ in range(2):
        assert prepare_topics(cluster, app, topics.namespace, silent) == 1048588
        cluster.send(topics.routing_decisions, [(str(key).encode(), b"{}") for key in shard_keys(16)])
    made = topic_settings(app, topics.namespace, LARGEST_RECORD)
    for name, settings in cluster.topic_config(list(made)).items():
        assert settings.items() >= made[name].items()
    ledger = ConfigResource(ConfigResourceType.TOPIC, topics.routing_decisions, configs={"retention.bytes": "1048576"})
    admin = KafkaAdminClient(bootstrap_servers=info.kafka)
    admin.alter_configs([ledger])
    admin.create_partitions({topics.routing_decisions: NewPartitions(5)})
    admin.close()
    with pytest.raises(SwitchyardError) as caught:
        prepare_topics(cluster, app, topics.namespace, silent)
    assert f"{topics.routing_decisions} drops records beyond 1048576 bytes" in str(caught.value)
    assert "had another number of partitions than 5" in str(caught.value)
