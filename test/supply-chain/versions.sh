#!/bin/sh
# npm run versions: asks the registries whether every base image and every GitHub action that this repository names
# exists, and names the newest release of each action. It needs the network, curl and git, so it is no part of npm test.
#   --list   prints what would be asked, and asks nobody
# Exit code 0: all are there; 1: one is not; 2: somebody could not be asked, so nothing is known of what they have.
set -eu
cd "$(dirname "$0")/../.."

images() {
  {
    sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' Dockerfile
    sed -n 's/^ *image: \([^ ]*:[^ ]*\)$/\1/p' docker-compose.yml
    # Behind `docker run` a workflow names an image of somebody else's with its tag.
    sed -n '/docker run/s/.* \([a-z0-9.-]*\/[a-z0-9.-]*:v[0-9][^ ]*\).*/\1/p' .github/workflows/*.yml
  } | sort -u
}

# owner/name commit tag
actions() {
  sed -n 's/.*uses: \([^@ ]*\)@\([0-9a-f]*\) # \(v[0-9.]*\)$/\1 \2 \3/p' .github/workflows/*.yml | sort -u
}

if [ "${1-}" = --list ]; then
  images | sed 's/^/image /'
  actions | sed 's/^/action /'
  exit 0
fi

absent=0
unasked=0

# The status of a manifest, as the registry's protocol has it: a token is asked for where the answer says so.
manifest() {
  url=https://$1/v2/$2/manifests/$3
  accept='Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json'
  headers=$(curl --silent --max-time 20 --head --header "$accept" "$url") || { echo 000; return; }
  status=$(printf '%s\n' "$headers" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p')
  if [ "$status" = 401 ]; then
    realm=$(printf '%s\n' "$headers" | sed -n 's/.*[Rr]ealm="\([^"]*\)".*/\1/p')
    service=$(printf '%s\n' "$headers" | sed -n 's/.*service="\([^"]*\)".*/\1/p')
    token=$(curl --silent --max-time 20 "$realm?service=$service&scope=repository:$2:pull" | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
    status=$(curl --silent --max-time 20 --head --output /dev/null --write-out '%{http_code}' \
      --header "$accept" --header "Authorization: Bearer $token" "$url") || status=000
  fi
  echo "$status"
}

for image in $(images); do
  name=${image%:*}
  tag=${image##*:}
  case $name in
    *.*/*) registry=${name%%/*} name=${name#*/} ;;
    */*) registry=registry-1.docker.io ;;
    *) registry=registry-1.docker.io name=library/$name ;;
  esac
  status=$(manifest "$registry" "$name" "$tag")
  case $status in
    200) echo "there      $image" ;;
    404) echo "NOT THERE  $image"; absent=$((absent + 1)) ;;
    *) echo "not known  $image ($registry answered $status)"; unasked=$((unasked + 1)) ;;
  esac
done

actions >"${TMPDIR:-/tmp}/actions.$$"
trap 'rm -f "${TMPDIR:-/tmp}/actions.$$"' EXIT
while read -r name commit tag; do
  repository=$(printf '%s' "$name" | cut -d/ -f1,2)
  if ! tags=$(GIT_TERMINAL_PROMPT=0 git ls-remote --tags "https://github.com/$repository.git" 2>/dev/null); then
    echo "not known  $name $tag (github.com did not answer)"
    unasked=$((unasked + 1))
    continue
  fi
  newest=$(printf '%s\n' "$tags" | sed -n 's#.*refs/tags/\(v[0-9]*\.[0-9]*\.[0-9]*\)$#\1#p' | sort -V | tail -1)
  # An annotated tag has its commit behind ^{}.
  if printf '%s\n' "$tags" | grep -q "^$commit[[:space:]]*refs/tags/$tag\(\^{}\)\{0,1\}\$"; then
    echo "there      $name $tag (newest: $newest)"
  else
    echo "NOT THERE  $name $tag is not $commit (newest: $newest)"
    absent=$((absent + 1))
  fi
done <"${TMPDIR:-/tmp}/actions.$$"

echo "versions: $absent not there, $unasked not known"
if [ $absent -gt 0 ]; then exit 1; fi
if [ $unasked -gt 0 ]; then exit 2; fi
