# Runs a temporary PostgreSQL until standard input closes. The test binary holds that pipe open, so the server ends with the test
# binary, even after kill -9. Prints the server's directory on standard output. $1: the directory of PostgreSQL's programs.
set -eu
umask 077
dir=$(mktemp -d "${TMPDIR:-/tmp}/daybook-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1/initdb" -D "$dir/data" -U postgres -A trust -N -E UTF8 --locale=C >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$1/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c full_page_writes=off -c wal_level=minimal \
    -c max_wal_senders=0 -c shared_buffers=64MB -c max_connections=200 </dev/null >>"$dir/log" 2>&1 &
server=$!
echo "$dir"
cat >/dev/null
kill -QUIT "$server"
wait "$server" || true
