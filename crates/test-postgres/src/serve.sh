# Runs a temporary PostgreSQL until standard input closes. The test binary holds that pipe open, so the server ends with the test
# binary, even after kill -9. Prints the server's directory on standard output. $1: the directory of PostgreSQL's programs. The other
# arguments: settings of the server, as name=value.
#
# PRIMARY: make a hot standby of the server with this connection string, instead of an empty cluster.
# HBA: lines for the beginning of pg_hba.conf. TLS_CERT, TLS_KEY: the certificate of the server and its key.
set -eu
umask 077
programs=$1
shift
dir=$(mktemp -d "${TMPDIR:-/tmp}/daybook-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
if [ -n "${PRIMARY:-}" ]; then
    "$programs/pg_basebackup" -D "$dir/data" -d "$PRIMARY" -R -X stream -c fast --no-sync >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
else
    "$programs/initdb" -D "$dir/data" -U postgres -A trust -N -E UTF8 --locale=C >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
fi
if [ -n "${HBA:-}" ]; then
    printf '%s\n' "$HBA" | cat - "$dir/data/pg_hba.conf" >"$dir/hba"
    mv "$dir/hba" "$dir/data/pg_hba.conf"
fi
if [ -n "${TLS_CERT:-}" ]; then
    printf '%s' "$TLS_CERT" >"$dir/data/server.crt"
    printf '%s' "$TLS_KEY" >"$dir/data/server.key"
fi
for setting in "$@"; do printf '%s\n' "$setting" >>"$dir/data/postgresql.auto.conf"; done
"$programs/postgres" -D "$dir/data" -k "$dir" </dev/null >>"$dir/log" 2>&1 &
server=$!
echo "$dir"
cat >/dev/null
kill -QUIT "$server"
wait "$server" || true
