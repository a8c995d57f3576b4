#!/usr/bin/env bash
# Stand-ins for images that cannot be pulled where no registry is reached: under the very names that Dockerfile and compose file use,
# so that these are tried as they are. An image that is there already is left alone, but for a stand-in made of something else.
#   RUST_IMAGE        this machine's Rust toolchain, C compiler and downloaded crates (no network while building)
#   PROMETHEUS_IMAGE  this machine's prometheus, with its pages
set -euo pipefail
cd "$(dirname "$0")"
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
setting() { sed -n "s/^$1=//p" .env; }
RUST_IMAGE=${RUST_IMAGE:-$(setting RUST_IMAGE)}
PROMETHEUS_IMAGE=${PROMETHEUS_IMAGE:-$(setting PROMETHEUS_IMAGE)}

missing() { ! docker image inspect "$1" >/dev/null 2>&1; }

# What a stand-in is made of, this script included; its label says so.
rust_of=$(rustc -vV | cat - ../Cargo.lock standin.sh | sha256sum | cut -c1-16)
prometheus_of=$(prometheus --version 2>&1 | cat - standin.sh | sha256sum | cut -c1-16)
made_of() { docker image inspect --format '{{index .Config.Labels "galton.made-of"}}' "$1" 2>/dev/null; }
# Removes a stand-in that is not made of that; an image without the label is none.
renew() { # IMAGE MADE_OF
  local made_of
  made_of=$(made_of "$1" || true)
  if [ -n "$made_of" ] && [ "$made_of" != "$2" ]; then docker image rm --force "$1" >/dev/null; fi
}
renew "$RUST_IMAGE" "$rust_of"
renew "$PROMETHEUS_IMAGE" "$prometheus_of"

# Every file of these Debian packages and of all that they depend on.
files_of() {
  local packages
  packages=$(apt-cache depends --recurse --installed --no-suggests --no-recommends --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$@" | grep -v '^[ <]' | sort -u)
  # shellcheck disable=SC2086 # a list
  # Where /bin and /lib are links into /usr, so are the files' true places.
  dpkg-query --listfiles $packages | sed -E 's,^/(bin|sbin|lib|lib64)/,/usr/\1/,' | sort -u | while read -r path; do
    if [ -f "$path" ] || [ -L "$path" ]; then printf '%s\n' "${path#/}"; fi
  done
}

if missing "$RUST_IMAGE"; then
  # What the build needs beyond the toolchain: the crates, which `cargo fetch` has put into the registry's folder.
  cargo fetch --locked --manifest-path ../Cargo.toml --quiet
  sysroot=$(rustc --print sysroot)
  cargo_home=${CARGO_HOME:-$HOME/.cargo}
  {
    files_of gcc libc6-dev coreutils dash grep sed
    printf '%s\n' bin lib lib64
  } | sort -u >"$here/list"
  tar --create --file "$here/root.tar" --directory / --no-recursion --files-from "$here/list"
  # Debian makes this link when the package is installed, so that no package has it.
  ln -s gcc "$here/cc"
  tar --append --file "$here/root.tar" --directory "$here" --transform 's,^,usr/bin/,S' cc
  tar --append --file "$here/root.tar" --directory "$sysroot" --exclude share --transform 's,^\./,usr/local/,S' ./bin ./lib
  tar --append --file "$here/root.tar" --directory "$cargo_home" --transform 's,^registry,usr/local/cargo/registry,S' registry
  docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'ENV CARGO_HOME=/usr/local/cargo' \
    --change 'ENV CARGO_NET_OFFLINE=true' --change "LABEL galton.made-of=$rust_of" "$here/root.tar" "$RUST_IMAGE" >/dev/null
  rm "$here/root.tar"
  echo "stand-in for $RUST_IMAGE"
fi

if missing "$PROMETHEUS_IMAGE"; then
  {
    files_of libc6
    printf '%s\n' usr/bin/prometheus usr/bin/promtool lib lib64
  } | sort -u >"$here/list"
  tar --create --file "$here/prometheus.tar" --directory / --no-recursion --files-from "$here/list"
  # Its pages are links to what other packages have.
  tar --append --file "$here/prometheus.tar" --directory / --dereference usr/share/prometheus
  mkdir --mode 1777 "$here/tmp"
  tar --append --file "$here/prometheus.tar" --directory "$here" tmp
  docker import --change 'ENTRYPOINT ["/usr/bin/prometheus"]' --change 'EXPOSE 9090' \
    --change "LABEL galton.made-of=$prometheus_of" "$here/prometheus.tar" "$PROMETHEUS_IMAGE" >/dev/null
  echo "stand-in for $PROMETHEUS_IMAGE"
fi
