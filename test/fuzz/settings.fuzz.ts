import { expect, test } from 'vitest';
import { SETTING_INPUTS } from '../../src/settings/catalogue.ts';
import { ConfigError } from '../../src/settings/config.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import type { Chance } from './chance.ts';
import { hostileText, rounds } from './chance.ts';

const PLANTED = 'planted-secret-0c1f';

const TEXTS = [
  `postgresql://user:${PLANTED}@host:5432/airflow`, `postgresql+psycopg2://user:${PLANTED}@[::1]/x?sslmode=verify-full`,
  `postgresql://user:${PLANTED}@host:99999/x`, `mysql://user:${PLANTED}@host/x`, `postgresql://${PLANTED}`,
  's3://aws@bucket/prefix', 's3://', 's3://bucket/a,s3://b', '1h', '-1', '0', '1e9', '99999999999999999999', 'true',
  '*/5 * * * * *', '* * *', '99 99 99 99 99 99', '@hourly', ':10048', '[::]:0', '127.0.0.1:70000', 'info', 'lock', '',
  'https://airflow.example', '/nowhere/at/all', 'NaN', 'Infinity', '0x10', '１２',
]; // prettier-ignore

const CONNECTIONS = [
  `aws://key:${PLANTED}@/?region_name=eu-west-1`, `{"conn_type":"aws","login":"key","password":"${PLANTED}"}`,
  `{"conn_type":"aws","extra":"{\\"role_arn\\":\\"arn:x\\"`, `{"login":{"a":["${PLANTED}"]}}`, 'aws://', '{', '[]', 'null',
  `aws://key:${PLANTED}%zz@/?endpoint_url=http%3A%2F%2F%5B`, `aws://k:${PLANTED}@/?__extra__=${PLANTED}`,
]; // prettier-ignore

function someText(chance: Chance): string {
  const text = chance.pick(TEXTS);
  if (chance.once(3)) return hostileText(chance, 40);
  if (!chance.once(4)) return text;
  const at = chance.int(text.length + 1);
  return text.slice(0, at) + hostileText(chance, 5) + text.slice(at + chance.int(3));
}

function someYaml(chance: Chance): string {
  const lines = Array.from({ length: chance.int(8) }, () => {
    const { name } = chance.pick(SETTING_INPUTS);
    switch (chance.int(7)) {
      case 0:
        return `${name}: ${someText(chance)}`;
      case 1:
        return `${name}: ${JSON.stringify(someText(chance))}`;
      case 2:
        return `${name.replace('.', ':\n  ')}: [${someText(chance)}, 1, {a: b}]`;
      case 3:
        return `&a ${name}: *${chance.pick(['a', 'b'])}`;
      case 4:
        return hostileText(chance, 60);
      case 5:
        return `? [${name}]\n: ${PLANTED}`;
      default:
        return `<<: {${name}: !!binary ${PLANTED}}`;
    }
  });
  return lines.join('\n');
}

test('settings, files and variables of any form are taken or refused, and no secret is said', async () => {
  let taken = 0;
  let refused = 0;
  await rounds((chance) => {
    for (let i = 0; i < 50; i += 1) {
      const env: Record<string, string> = {};
      const argv: string[] = [];
      for (let n = chance.int(6); n > 0; n -= 1) {
        const input = chance.pick(SETTING_INPUTS);
        if (chance.once(2)) env[input.variable] = someText(chance);
        else argv.push(chance.once(2) ? `${input.flag}=${someText(chance)}` : input.flag, someText(chance));
      }
      if (chance.once(2)) env['AIRFLOW_CONN_AWS'] = chance.pick(CONNECTIONS);
      if (chance.once(3)) env['XCOM_EXPORTER_XCOM_PATH'] = 's3://aws@bucket/x';
      if (chance.once(4)) env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'] = someText(chance);
      if (chance.once(4)) env[`XCOM_EXPORTER_${hostileText(chance, 12)}`] = someText(chance);
      if (chance.once(6)) env['PGPORT'] = someText(chance);
      if (chance.once(2)) argv.push('--config.file', 'file.yaml');
      const yaml = someYaml(chance);
      const start = performance.now();
      try {
        const config = readConfig({ argv, env, readFile: () => yaml });
        const shown = JSON.stringify(config.origins);
        const secretAsName = argv.some((one) => one.includes(PLANTED) && /xcom.path|backend/.test(one));
        if (!secretAsName) expect(shown).not.toContain(`:${PLANTED}@`);
        taken += 1;
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        expect(error.problems.length).toBeGreaterThan(0);
        refused += 1;
      }
      expect(performance.now() - start, 'ms for one reading').toBeLessThan(1_000);
    }
  });
  expect(taken).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
});
