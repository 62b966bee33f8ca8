import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}

const { packages } = JSON.parse(
  readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'),
) as { packages: Record<string, Locked> };

/** The packages that `npm ci --omit=dev` installs. */
const shipped = Object.entries(packages).flatMap(([path, locked]) =>
  path === '' || locked.dev === true || locked.devOptional === true
    ? []
    : [{ name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length), ...locked }],
);

/** Licences that require their text to be kept and nothing else. */
const PERMISSIVE = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Unlicense',
];

test('all that is shipped may be shipped', () => {
  expect(shipped.length).toBeGreaterThan(50);
  const others = shipped.filter(({ license }) => !PERMISSIVE.includes(license ?? ''));
  expect(others.map(({ name, license }) => `${name}: ${license ?? 'no licence named'}`)).toEqual([]);
});

test('nothing that is shipped runs a script when it is installed', () => {
  expect(shipped.filter(({ hasInstallScript }) => hasInstallScript === true).map(({ name }) => name)).toEqual(
    [],
  );
});

test('docs/sbom-licences.md lists them', async () => {
  const rows = [
    ...new Set(
      shipped.map(({ name, version, license }) => `| ${name} | ${version ?? ''} | ${license ?? ''} |`),
    ),
  ];
  const table = `# Licences of what is shipped

For whoever has to know the licences of the packages that \`npm ci --omit=dev\` installs. Written by \`npx vitest run test/supply-chain --update\`; the bill of
materials itself is made at each release by \`npm run sbom\`.

<!-- prettier-ignore -->
| package | version | licence |
|---|---|---|
${rows.sort().join('\n')}
`;
  await expect(table).toMatchFileSnapshot('../../docs/sbom-licences.md');
});
