#!/usr/bin/env bash
# Makes PostgreSQL's programs available to the sandbox, which starts a private server of its own. No service is started.
set -euo pipefail
cd "$(dirname "$0")"
. ./apt.sh

installed() {
  local folder
  for folder in "$(dirname "$(command -v postgres || echo /none/postgres)")" /usr/lib/postgresql/*/bin; do
    if [ -x "$folder/postgres" ] && [ -x "$folder/initdb" ]; then
      echo "$folder"
      return
    fi
  done
  return 1
}

if found=$(installed); then
  echo "PostgreSQL: $found is there, nothing to do"
elif can_install; then
  echo "PostgreSQL: installing the package postgresql; its service stays stopped"
  install_package postgresql
  echo "PostgreSQL: installed $(installed)"
else
  cat >&2 <<'TEXT'
PostgreSQL: there are no programs postgres and initdb, and no way to install them without a password.
Do one of these, then run the same command again:
  Debian, Ubuntu:  sudo apt-get install --no-install-recommends postgresql
  macOS:           brew install postgresql
TEXT
  exit 1
fi
