#!/usr/bin/env bash
# S3Mock writes the names of all objects of a bucket anew for each object that is put: a test that puts n objects writes n² bytes.
#
# A PUT of one byte was expected to write about as much into a full bucket as into an empty one. S3Mock keeps a map of key and id in
# bucketMetadata.json beside the objects, and each PUT writes this file whole. 100 PUTs into an empty bucket write 0.4 MB, behind 500 objects
# 2.8 MB, behind 1,000 objects 5.3 MB. A suite that fills a bucket with 10,000 objects therefore writes some 2.5 GB.
#
# Seen with S3Mock 5.2.0 (com.adobe.testing:s3mock, the executable jar) on Java 17. Needs Java, Maven, curl and Python, and Linux for /proc.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
  -Dartifact=com.adobe.testing:s3mock:5.2.0:jar:exec -DoutputDirectory=. > /dev/null
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free)
mkdir store
java -Djava.io.tmpdir="$work/store" -jar s3mock-5.2.0-exec.jar --http.port="$port" --server.port="$(free)" > s3mock.log 2>&1 &
server=$!
for _ in $(seq 120); do
  curl -s -o answer "http://127.0.0.1:$port/" && break
  sleep 0.5
done
curl -sf -X PUT "http://127.0.0.1:$port/bucket"

# put <first> <last>: puts these objects of one byte, and says how many bytes the server wrote meanwhile.
put() {
  local before after key
  before=$(awk '/^wchar/ {print $2}' "/proc/$server/io")
  for key in $(seq "$1" "$2"); do curl -sf -o answer -X PUT --data x "http://127.0.0.1:$port/bucket/key-$key"; done
  after=$(awk '/^wchar/ {print $2}' "/proc/$server/io")
  echo $((after - before))
}
first=$(put 1 100)
put 101 1000 > answer
last=$(put 1001 1100)
listed=$(find store -name bucketMetadata.json -exec grep -o 'key-' {} + | wc -l)
echo "100 PUTs into an empty bucket wrote $first bytes, 100 behind 1,000 objects $last; bucketMetadata.json names $listed keys"
[ "$last" -gt $((first * 8)) ] && [ "$listed" = 1100 ]
