# shellcheck shell=bash disable=SC2154
# A throw-away PostgreSQL for the tests, unless TEST_DATABASE_URL names one already. Sourced by scripts/test.

postgres_folder=

# need_postgres: exports TEST_DATABASE_URL. The cluster lies in a temporary folder, listens on a free loopback
# port, trusts everybody there, forgives no crash (fsync is off), and goes with the script.
need_postgres() {
  [[ -n ${TEST_DATABASE_URL:-} ]] && return
  postgres_programs >/dev/null || apt postgresql || return
  local bin port as=()
  bin=$(postgres_programs) || { echo "initdb is missing; please install: postgresql" >&2 && return 1; }
  port=$(free_port) || return
  postgres_folder=$(mktemp -d /tmp/grantry-postgres-XXXXXX) || return
  trap drop_postgres EXIT
  # PostgreSQL refuses to run as root.
  if [[ $(id -u) == 0 ]]; then
    chown postgres "$postgres_folder" && as=(setpriv --reuid postgres --regid postgres --clear-groups)
  fi
  (
    cd "$postgres_folder" &&
      "${as[@]}" "$bin/initdb" -D data -A trust -U postgres --no-sync >initdb.log 2>&1 &&
      "${as[@]}" "$bin/pg_ctl" -D data -w -l server.log -o "-p $port -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories=$postgres_folder -c max_connections=400 -c fsync=off" start >pg_ctl.log 2>&1
  ) || {
    cat "$postgres_folder"/*.log >&2
    return 1
  }
  export TEST_DATABASE_URL=postgres://postgres@127.0.0.1:$port/postgres
}

drop_postgres() {
  [[ -n $postgres_folder && -d $postgres_folder ]] || return 0
  # The first line of the pid file is the postmaster's; a fast shutdown breaks off whoever is connected.
  kill -INT "$(head -n 1 "$postgres_folder/data/postmaster.pid" 2>/dev/null)" 2>/dev/null
  local _
  for _ in $(seq 50); do
    [[ -e $postgres_folder/data/postmaster.pid ]] || break
    sleep 0.1
  done
  rm -rf "$postgres_folder"
}

# The folder of initdb and pg_ctl; Debian keeps them off the path.
postgres_programs() {
  local found
  found=$({ command -v initdb || ls -v /usr/lib/postgresql/*/bin/initdb; } 2>/dev/null | tail -n 1)
  [[ -n $found ]] && dirname "$found"
}

# A port that nothing listens at, tried out in bash itself: there may be no Python yet.
free_port() {
  local port
  for port in $(seq $((20000 + RANDOM % 20000)) 60000); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
  done
  return 1
}
