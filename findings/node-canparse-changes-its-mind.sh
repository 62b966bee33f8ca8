#!/usr/bin/env bash
# URL.canParse of Node 20 and 22 says true of https://bücher.example for some thousand calls, and false from then on.
#
# One function that asks it about one text was expected to get one answer. Once V8 has compiled the caller, Node answers through its fast path,
# which takes the Latin-1 bytes of the text for UTF-8. A host with letters from U+0080 to U+00FF is then none; `new URL` of the same text goes on to
# work. A short test sees nothing of it, and a long-lived server changes its mind about a setting that it accepted. The same letters in a path do
# no harm, and a text with any letter beyond U+00FF is not touched, because V8 keeps it in two bytes a letter.
#
#   Node       canParse, 100,000 calls                   new URL, 100,000 calls
#   20.20.2    true, false from about the 5,000th on     never fails
#   22.23.3    true, false from about the 3,000th on     never fails
#   24.21.0    true                                      never fails
#
# Seen with Node 20.20.2, 22.23.3 and 24.21.0 on Linux x64. Needs npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > ask.mjs <<'J'
const canParse = (text) => URL.canParse(text);
const parses = (text) => {
  try {
    return new URL(text) !== null;
  } catch {
    return false;
  }
};
const told = (ask, text) => {
  const answers = Array.from({ length: 100_000 }, () => ask(text));
  return [...new Set(answers)].join(' then ');
};
for (const text of ['https://bücher.example', 'https://host.example/é', 'https://пример.example'])
  console.log(`${text}: canParse ${told(canParse, text)}, new URL ${told(parses, text)}`);
J

wrong=0
# expect <version of Node> <answers of canParse to the first text>
expect() {
  local version=$1 answers=$2 seen wanted
  mkdir "$version"
  (cd "$version" && npm init -y > /dev/null && npm install --silent --no-audit --no-fund "node@$version" > /dev/null)
  seen=$("$version/node_modules/.bin/node" ask.mjs)
  wanted="https://bücher.example: canParse $answers, new URL true
https://host.example/é: canParse true, new URL true
https://пример.example: canParse true, new URL true"
  echo "Node $version"
  echo "$seen"
  [ "$seen" = "$wanted" ] || wrong=1
}

expect 20.20.2 'true then false'
expect 22.23.3 'true then false'
expect 24.21.0 'true'

exit $wrong
