"""RabbitMQ, and nothing else here: the only package that imports an AMQP client."""

from __future__ import annotations

__all__ = ["ADMIN", "VHOST", "Definitions", "Plan", "RabbitTransport", "definitions", "plan", "remove_queues"]

from interlock.bus.rabbitmq.definitions import ADMIN, VHOST, Definitions, definitions
from interlock.bus.rabbitmq.removal import remove_queues
from interlock.bus.rabbitmq.topology import Plan, plan
from interlock.bus.rabbitmq.transport import RabbitTransport
