#!/usr/bin/env bash
# Builds the image with whichever engine answers, and states its size. Where none does, it says what is missing and
# exits with 3. Usage: deploy/image/build.sh [--tag NAME] [arguments of `docker build`…]
set -euo pipefail
cd "$(dirname "$0")/../.."

tag=interlock:local
if [ "${1:-}" = --tag ]; then
  tag=$2
  shift 2
fi

for engine in docker podman; do
  command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1 && break
  engine=
done
if [ -z "$engine" ]; then
  echo "image: neither Docker nor Podman answers here, so it was not built" >&2
  exit 3
fi

revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
"$engine" build --file deploy/image/Dockerfile --tag "$tag" --build-arg REVISION="$revision" "$@" .
bytes=$("$engine" image inspect --format '{{.Size}}' "$tag")
echo "image: $tag built with $engine, $((bytes / 1000000)) MB"
