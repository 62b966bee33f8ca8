#!/usr/bin/env bash
# Of AWS's variables that are set and empty, botocore takes some for unset and fails over the others.
#
# A compose file hands a variable on as AWS_PROFILE: ${AWS_PROFILE:-}. Where nobody sets it, it is there and empty. Most people take that for not
# set, and so does botocore for keys, endpoints and AWS_STS_REGIONAL_ENDPOINTS. An empty AWS_PROFILE is a profile without a name that no file
# has, an empty AWS_RETRY_MODE or AWS_DEFAULTS_MODE is an unknown mode, and an empty AWS_MAX_ATTEMPTS is no number: no client can be made.
# Whether capital letters are taken differs as well: AWS_DEFAULTS_MODE=Standard is standard, and AWS_RETRY_MODE=Standard is refused.
#
#   variable                               a client of S3
#   AWS_ACCESS_KEY_ID=  AWS_SESSION_TOKEN= AWS_ENDPOINT_URL=  AWS_STS_REGIONAL_ENDPOINTS=   is made
#   AWS_PROFILE=                           ProfileNotFound: The config profile () could not be found
#   AWS_RETRY_MODE=                        InvalidRetryModeError
#   AWS_MAX_ATTEMPTS=                      ValueError: invalid literal for int() with base 10: ''
#   AWS_DEFAULTS_MODE=                     InvalidDefaultsMode
#   AWS_DEFAULTS_MODE=Standard             is made, and asks the regional endpoint as with standard
#   AWS_RETRY_MODE=Standard                InvalidRetryModeError
#
# Seen with botocore 1.36.23 and 1.43.75 (Python 3.11 and 3.12).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv tool
tool/bin/pip -q install 'uv==0.9.7'

cat > look.py <<'P'
import sys
import botocore.session

try:
    client = botocore.session.Session().create_client("s3", region_name="us-east-1")
    print(f"made for {client.meta.endpoint_url}")
except Exception as error:
    print(f"{type(error).__name__}")
P
wrong=0
# expect <outcome> [NAME=value]: what becomes of a client with this variable and no other of AWS's.
expect() {
  local outcome=$1 seen
  shift
  seen=$(env -i PATH="$PATH" HOME="$work" AWS_EC2_METADATA_DISABLED=true "$@" "$version/bin/python" look.py)
  echo "botocore $version ${*:-without a variable}: $seen"
  [ "$seen" = "$outcome" ] || wrong=1
}
for version in 1.36.23 1.43.75; do
  tool/bin/uv venv -q --python "$(command -v python3)" "$version"
  tool/bin/uv pip install -q --python "$version/bin/python" "botocore==$version"
  legacy='made for https://s3.amazonaws.com'
  expect "$legacy"
  for name in AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_STS_REGIONAL_ENDPOINTS; do expect "$legacy" "$name="; done
  expect ProfileNotFound AWS_PROFILE=
  expect InvalidRetryModeError AWS_RETRY_MODE=
  expect ValueError AWS_MAX_ATTEMPTS=
  expect InvalidDefaultsMode AWS_DEFAULTS_MODE=
  expect 'made for https://s3.us-east-1.amazonaws.com' AWS_DEFAULTS_MODE=Standard
  expect 'made for https://s3.us-east-1.amazonaws.com' AWS_DEFAULTS_MODE=standard
  expect InvalidRetryModeError AWS_RETRY_MODE=Standard
done
exit $wrong
