#!/usr/bin/env bash
# Makes RabbitMQ available to tests and demo, each of which starts a private server of its own. No service is started.
set -euo pipefail
cd "$(dirname "$0")"
. ./apt.sh

installed() {
  local places=/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin:/opt/homebrew/opt/rabbitmq/sbin:/usr/local/opt/rabbitmq/sbin
  PATH="$PATH:/usr/sbin:$places" command -v rabbitmq-server
}

if found=$(installed); then
  echo "RabbitMQ: $found is there, nothing to do"
elif can_install; then
  echo "RabbitMQ: installing the package rabbitmq-server; its service stays stopped"
  install_package rabbitmq-server
  echo "RabbitMQ: installed $(installed)"
elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  echo "RabbitMQ: no rabbitmq-server here, but Docker answers; the tests will use Testcontainers"
else
  cat >&2 <<'TEXT'
RabbitMQ: there is no rabbitmq-server, no way to install it without a password, and no Docker that answers.
Do one of these, then run the same command again:
  Debian, Ubuntu:  sudo apt-get install --no-install-recommends rabbitmq-server
  macOS:           brew install rabbitmq
  elsewhere:       install Docker and start it
TEXT
  exit 1
fi
