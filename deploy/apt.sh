# Sourced by the install scripts: Debian packages without starting what they bring.

# as_root COMMAND…: run it as root; fails when that is not possible without a password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo --non-interactive "$@"
  fi
}

# can_install: whether Debian packages can be installed here without asking anybody.
can_install() {
  command -v apt-get >/dev/null && as_root true 2>/dev/null
}

# install_package NAME: install it and leave its services stopped (policy-rc.d, see invoke-rc.d(8)).
install_package() (
  policy=/usr/sbin/policy-rc.d
  if ! as_root test -e "$policy"; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$1"
)
