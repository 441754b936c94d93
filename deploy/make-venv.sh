#!/usr/bin/env bash
# Makes the virtual environment: exactly the locked packages, each checked by its hash, and Interlock itself editable.
# Usage: deploy/make-venv.sh FOLDER [LOCK…], where each further LOCK adds packages of its own; the environment variable
# PYTHON names an interpreter to prefer.
set -euo pipefail
folder=$1
shift
cd "$(dirname "$0")/.."

new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or later is needed and was not found; install it, or name one: make PYTHON=/path/to/python3" >&2
  return 1
}

if ! new_enough "$folder/bin/python" || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
  python=$(find_python)
  echo "Python: making $folder with $("$python" --version)"
  "$python" -m venv --clear "$folder" || {
    echo "The module venv of $python is incomplete; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2
    exit 1
  }
fi
echo "Python: installing the locked packages into $folder"
pip=("$folder/bin/python" -m pip --disable-pip-version-check --quiet install)
for lock in requirements.lock "$@"; do
  "${pip[@]}" --require-hashes --no-deps --requirement "$lock"
done
"${pip[@]}" --no-build-isolation --no-deps --editable .
