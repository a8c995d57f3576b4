# Sourced by the entries of this directory: installs what is missing, builds Galton unless GALTON names it, says with what it runs.
#   prepare COMMAND:PACKAGE… MODULE=PACKAGE…    a command, or a module of Debian's Python
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# Debian's Python, whose packages apt-get installs: another one on the PATH would not find them.
python=/usr/bin/python3

prepare() {
  local pair missing=()
  for pair in "$@"; do
    case $pair in
      *=*) "$python" -c "import ${pair%%=*}" 2>/dev/null || missing+=("${pair##*=}") ;;
      *) command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}") ;;
    esac
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
  if [ -z "${GALTON:-}" ]; then
    cargo build --release --locked --quiet -p galton
    GALTON=${CARGO_TARGET_DIR:-target}/release/galton
  fi
  export GALTON
  # No __pycache__ in the tree.
  export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/python
  echo "$("$GALTON" --version) at $GALTON, $("$python" --version)"
}
