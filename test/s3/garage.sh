#!/bin/sh
# garage.sh PROGRAM FOLDER PORT RPC_PORT: one node of Garage with the account of the environment, which may make buckets.
set -eu
cat > "$2/garage.toml" <<TOML
metadata_dir = "$2/meta"
data_dir = "$2/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$4"
rpc_public_addr = "127.0.0.1:$4"
rpc_secret = "$(printf %064d 1)"

[s3_api]
s3_region = "us-east-1"
api_bind_addr = "127.0.0.1:$3"
root_domain = ".s3.localhost"
TOML
"$1" -c "$2/garage.toml" server --single-node --default-access-key &
trap 'kill $!' TERM
until "$1" -c "$2/garage.toml" key allow --create-bucket "$GARAGE_DEFAULT_ACCESS_KEY" 2> /dev/null; do sleep 1; done
wait
