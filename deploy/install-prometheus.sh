#!/usr/bin/env bash
# Makes Prometheus available to the tests, which start a private server of their own. No service is started.
set -euo pipefail
cd "$(dirname "$0")"
. ./apt.sh

if found=$(command -v prometheus); then
  echo "Prometheus: $found is there, nothing to do"
elif can_install; then
  echo "Prometheus: installing the package prometheus; its service stays stopped"
  install_package prometheus
  echo "Prometheus: installed $(command -v prometheus)"
else
  cat >&2 <<'TEXT'
Prometheus: there is no program prometheus, and no way to install it without a password.
Do one of these, then run the same command again:
  Debian, Ubuntu:  sudo apt-get install --no-install-recommends prometheus
  macOS:           brew install prometheus
TEXT
  exit 1
fi
