#!/usr/bin/env bash
# Builds the image, makes the secrets once, and starts everything; needs nothing but Docker with Compose 2.23 or later.
# Usage: deploy/compose/up.sh [arguments of `docker compose up`…]
set -euo pipefail
cd "$(dirname "$0")"

docker compose version >/dev/null 2>&1 || {
  echo "up: 'docker compose' does not answer; it comes with Docker Desktop, or as the package docker-compose-plugin" >&2
  exit 1
}
../image/build.sh

if [ ! -d secrets ]; then
  docker run --rm --user "$(id -u):$(id -g)" --entrypoint python --volume "$PWD:/work" interlock:local \
    /work/prepare.py /work/secrets
fi

if [ ! -f interlock.toml ]; then
  cp interlock.example.toml interlock.toml
fi
if grep -q '^url = ' interlock.toml; then
  export COMPOSE_PROFILES=team
else
  echo "up: interlock.toml names no Jira yet, so of the agents only the coordinator starts; fill it in and run this again"
fi
docker compose up --detach --wait "$@"
echo "up: Grafana http://127.0.0.1:3000 (admin, secrets/grafana/password), Prometheus http://127.0.0.1:9090,"
echo "up: RabbitMQ http://127.0.0.1:15672 (interlock-admin, secrets/interlock-admin/broker.password)"
