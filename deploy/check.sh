#!/usr/bin/env bash
# Checks everything in deploy/ with the linters of its own kind, and says what it could not check and why.
# Usage: deploy/check.sh BIN, the folder of the virtual environment's programs. It changes nothing outside build/.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1
skipped=()

say() { printf 'deploy: %s\n' "$*"; }
skip() { skipped+=("$*"); }

for script in deploy/*.sh deploy/*/*.sh deploy/*/*/*.sh; do
  bash -n "$script"
done

"$bin/hadolint" --failure-threshold style deploy/image/Dockerfile
say "hadolint: deploy/image/Dockerfile"

"$bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec deploy/compose/compose.yaml
say "compose: the file keeps to the Compose Specification"
if docker compose version >/dev/null 2>&1; then
  COMPOSE_PROFILES=team docker compose --file deploy/compose/compose.yaml config --quiet
  say "compose: $(docker compose version --short) resolves it"
else
  skip "docker compose config: 'docker compose' is not here"
fi

if command -v promtool >/dev/null; then
  promtool check config deploy/compose/prometheus/prometheus.yaml >/dev/null
  promtool test rules deploy/compose/prometheus/rules.test.yaml >/dev/null
  say "promtool: the configuration is valid, the alerts fire and clear as tested"
else
  skip "promtool: it is not here (Debian and Ubuntu: the package prometheus)"
fi

# Helm itself where it is installed; else its own library, as a locked package in a folder of its own.
tools=build/tools/helm-$(sha256sum deploy/helm/tools.lock | cut -c 1-12)
if ! command -v helm >/dev/null && [ ! -d "$tools" ]; then
  "$bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps --only-binary :all: \
    --target "$tools.new" --requirement deploy/helm/tools.lock
  mv "$tools.new" "$tools"
fi
rm -rf build/chart
PYTHONPATH=$tools "$bin/python" deploy/helm/check.py build/chart
for version in 1.27 1.32 1.37; do
  "$bin/kubernetes-validate" --strict --no-warn --quiet --kubernetes-version "$version" build/chart/*.yaml
  say "kubernetes-validate: every rendered object of Kubernetes' own is valid for $version"
done
skip "schemas of RabbitmqCluster, ScaledObject, TriggerAuthentication and PodMonitor: they come with their operators"

"$bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
say "GitHub: the workflows keep to their schema"

for reason in ${skipped[@]+"${skipped[@]}"}; do
  say "NOT RUN: $reason"
done
