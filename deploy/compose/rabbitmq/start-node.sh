#!/bin/bash
# Gives the node its cookie and its definitions as files of its own, then starts it as the image does.
set -euo pipefail
install --owner=rabbitmq --group=rabbitmq --mode=0400 /run/secrets/rabbitmq/erlang.cookie /var/lib/rabbitmq/.erlang.cookie
install --owner=rabbitmq --group=rabbitmq --mode=0400 /run/secrets/rabbitmq/definitions.json /var/lib/rabbitmq/definitions.json
exec docker-entrypoint.sh "$@"
