#!/usr/bin/env bash
# Installs the AsyncAPI project's own parser, in the locked releases, for the test of schemas/asyncapi.json.
# Usage: deploy/install-asyncapi-parser.sh FOLDER; needs node and npm, runs no package's install scripts.
set -euo pipefail
folder=$1
source=$(cd "$(dirname "$0")/../tests/asyncapi" && pwd)

if cmp -s "$source/package-lock.json" "$folder/installed.json"; then
  exit 0
fi
mkdir -p "$folder"
cp "$source/package.json" "$source/package-lock.json" "$folder"
npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent
cp "$source/package-lock.json" "$folder/installed.json"
