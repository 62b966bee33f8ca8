#!/usr/bin/env bash
# The AWS SDK for JavaScript asks its own rules for a host although the client has an endpointProvider, and fails where these have none.
#
# A client for S3 takes an `endpointProvider`, which says the URL of each request. One is given that puts every bucket into the path. A bucket with
# a dash is asked there. A bucket with dots never is: the provider is not called, no request is sent, and the call ends with "Invalid URL". The
# choice of a signature, earlier in the same call, runs the rules that the SDK came with. They put the bucket before the endpoint's address, and
# team.data.127.0.0.1 is no host: a name that ends in a number has to be an IPv4 address. A line with the stack is written to stderr as well,
# by console.error. Expected: the rules that the caller gave are the only ones, or the URL that nobody uses does no harm.
#
#   bucket      endpointProvider   the server hears    the call
#   team-data   called             HEAD /team-data/    answered
#   team.data   not called         nothing             TypeError: Invalid URL
#
# Where the SDK is told `forcePathStyle`, both are answered; it then refuses the ARN of an access point.
#
# Seen with @aws-sdk/client-s3 3.1173.0 on Node 20.20.2.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund @aws-sdk/client-s3@3.1173.0

cat > look.mjs <<'J'
import { createServer } from 'node:http';
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';

const heard = [];
const server = createServer((request, response) => {
  heard.push(`${request.method} ${request.url}`);
  response.end();
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const endpoint = `http://127.0.0.1:${server.address().port}`;
let called = 0;
const client = new S3Client({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
  maxAttempts: 1,
  endpointProvider: ({ Bucket }) => {
    called += 1;
    return { url: new URL(`${endpoint}/${Bucket}`) };
  },
});
const said = [];
for (const Bucket of ['team-data', 'team.data']) {
  called = 0;
  heard.length = 0;
  const end = await client.send(new HeadBucketCommand({ Bucket })).then(
    () => 'answered',
    (error) => `${error.name}: ${error.message}`,
  );
  said.push(`${Bucket}: called ${called}, heard ${heard.join() || 'nothing'}, ${end}`);
}
server.close();
console.log(said.join('\n'));
const expected = ['team-data: called 1, heard HEAD /team-data/, answered', 'team.data: called 0, heard nothing, TypeError: Invalid URL'];
process.exitCode = said.join() === expected.join() ? 0 : 1;
J
node look.mjs 2> err || { code=$?; tail -3 err; exit "$code"; }
grep -q 'Failed to construct URL with http://team.data.127.0.0.1' err
