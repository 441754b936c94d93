#!/usr/bin/env bash
# Builds the documentation into build/site; a link or anchor that leads nowhere is an error. Usage: build.sh BIN
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$1

# Diagrams are drawn in the reader's browser by Mermaid. With npm at hand the site brings it along; without it the
# theme has the browser load it from a public host when a page has a diagram.
mermaid=build/tools/mermaid.min.js
integrity=YdPXn9slEwO0omQfQIsW6vS84weVQftIyyTGAZCwM//MGhPzL1+l6vO6bkf0wnP4tHigH1alZ5Ooy3HXI2gOag==
if [ ! -f "$mermaid" ] && command -v npm >/dev/null; then
  mkdir -p build/tools
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  if npm pack --silent --pack-destination "$scratch" mermaid@11.9.0 >/dev/null; then
    found=$(openssl dgst -sha512 -binary "$scratch"/mermaid-*.tgz | openssl base64 -A)
    [ "$found" = "$integrity" ] || { echo "docs: the package of Mermaid is not the one that was expected" >&2; exit 1; }
    tar -xzf "$scratch"/mermaid-*.tgz -C "$scratch" package/dist/mermaid.min.js
    mv "$scratch/package/dist/mermaid.min.js" "$mermaid"
  fi
fi
[ -f "$mermaid" ] || echo "docs: without npm the site's diagrams need the network"

NO_MKDOCS_2_WARNING=1 "$bin/mkdocs" build --strict --quiet
echo "docs: $(find build/site -name '*.html' | wc -l) pages in build/site/index.html, no link leads nowhere"
