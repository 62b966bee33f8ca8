import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = new URL('../../', import.meta.url);

// `npm run versions` asks the registries themselves, and needs the network for that.
test('every image and every action is among what `npm run versions` asks for', () => {
  const listed = execFileSync('sh', [fileURLToPath(new URL('versions.sh', import.meta.url)), '--list'], {
    encoding: 'utf8',
  }).split('\n');
  const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
  const workflows = readdirSync(new URL('.github/workflows/', root)).map((name) =>
    read(`.github/workflows/${name}`),
  );
  const named = [
    ...read('Dockerfile').matchAll(/^FROM (\S+:\S+)/gm),
    ...read('docker-compose.yml').matchAll(/image: (\S+:\S+)/g),
    ...workflows.flatMap((text) => [...text.matchAll(/(?<= )((?:prom|hadolint)\/\w+:v[\d.]+)/g)]),
  ].map(([, image = '']) => `image ${image}`);
  const used = workflows.flatMap((text) =>
    [...text.matchAll(/uses: (\S+)@([0-9a-f]{40}) # (v[\d.]+)$/gm)].map(
      ([, name = '', commit = '', tag = '']) => `action ${name} ${commit} ${tag}`,
    ),
  );
  expect(named.length).toBeGreaterThan(8);
  expect(used.length).toBeGreaterThan(20);
  expect([...new Set([...named, ...used])].filter((line) => !listed.includes(line))).toEqual([]);
});
