import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashSync } from 'bcryptjs';
import { expect, test } from 'vitest';
import { runCommand } from '../../../src/commands/run.ts';
import { callCommand } from '../../support/call-command.ts';
import { eventually, faceOf, startAirflow, workerEnv } from '../../support/daemon.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

test('a rotated password is taken up from its file without a restart, and a wrong file changes nothing', async () => {
  const airflow = await startAirflow(postgres(), s3());
  const folder = mkdtempSync(join(tmpdir(), 'secret-rotation-'));
  const end = new AbortController();
  const lines: string[] = [];
  const url = (password: string) => {
    const own = new URL(airflow.url);
    own.username = 'rotating';
    own.password = password;
    return own.href;
  };
  // Lays the file as Kubernetes does: a link that gets another target with each change.
  const lay = (version: string, content: string) => {
    writeFileSync(join(folder, version), content);
    symlinkSync(version, join(folder, 'url.new'));
    renameSync(join(folder, 'url.new'), join(folder, 'url'));
  };
  await airflow.writer.query(
    "CREATE ROLE rotating LOGIN PASSWORD 'first'; GRANT pg_read_all_data TO rotating",
  );
  lay('1', `${url('first')}\n`);

  const { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: _, ...env } = workerEnv(airflow, s3());
  const ended = callCommand(runCommand, {
    env: { ...env, XCOM_EXPORTER_DATABASE_URL_FILE: join(folder, 'url') },
    stdout: (text) => lines.push(text),
    signal: end.signal,
  });
  try {
    let port = 0;
    await eventually(() => {
      port = Number(/"port":(\d+),"msg":"listening"/.exec(lines.join(''))?.[1] ?? 0);
      expect(port).toBeGreaterThan(0);
    });
    const daemon = faceOf(port);
    const expectUp = (up: number) =>
      eventually(async () => {
        expect(await daemon.value('exporter_up', { target: 'database' })).toBe(up);
      }, 60);
    await expectUp(1);

    await airflow.writer.query("ALTER ROLE rotating PASSWORD 'second'");
    await airflow.writer.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'",
    );
    await expectUp(0);
    lay('2', 'postgresql://no user');
    await eventually(async () => {
      expect(await daemon.value('exporter_config_last_reload_successful')).toBe(0);
    }, 60);
    expect(lines.join('')).toMatch(/XCOM_EXPORTER_DATABASE_URL_FILE.*the old ones stay in force/);

    lay('3', url('second'));
    await expectUp(1);
    expect(await daemon.value('exporter_config_last_reload_successful')).toBe(1);
    const text = lines.join('');
    // Each wrong file is reported once, however often the exporter looks at it.
    expect(text.match(/a file with settings changed/g)).toHaveLength(2);
    expect(text.match(/settings not reloaded/g)).toHaveLength(1);
    expect(text).not.toMatch(/rotating:(?!\*)|"second"/);
  } finally {
    end.abort();
    await ended;
    await airflow.close();
    rmSync(folder, { recursive: true });
  }
});

test('a rotated password is taken up while a change of the web configuration waits, and once a wrong one is put right', async () => {
  const airflow = await startAirflow(postgres(), s3());
  const folder = mkdtempSync(join(tmpdir(), 'secret-rotation-'));
  const end = new AbortController();
  const lines: string[] = [];
  const [file, web] = [join(folder, 'url'), join(folder, 'web.yml')];
  // The password is part of the URL, as this name is.
  const lay = (version: string) => {
    const url = new URL(airflow.url);
    url.searchParams.set('application_name', version);
    writeFileSync(file, url.href);
  };
  const times = (words: string) => lines.join('').split(words).length - 1;
  lay('first');
  writeFileSync(web, `basic_auth_users:\n  prometheus: ${hashSync('a password', 10)}\n`);
  const { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: _, ...env } = workerEnv(airflow, s3());
  const ended = callCommand(runCommand, {
    env: { ...env, XCOM_EXPORTER_DATABASE_URL_FILE: file, XCOM_EXPORTER_WEB_CONFIG_FILE: web },
    stdout: (text) => lines.push(text),
    signal: end.signal,
  });
  try {
    await eventually(() => {
      expect(times('"msg":"listening"')).toBe(1);
    });
    writeFileSync(web, '# The last user is taken out: this waits for a restart.\n');
    lay('second');
    await eventually(() => {
      expect(times('"msg":"settings reloaded"')).toBe(1);
    }, 60);
    expect(lines.find((line) => line.includes('"msg":"settings reloaded"'))).toMatch(/takes a restart/);

    writeFileSync(web, 'wrong: true\n');
    lay('third');
    await eventually(() => {
      expect(times('settings not reloaded')).toBe(1);
    }, 60);
    writeFileSync(web, '# nobody\n');
    await eventually(() => {
      expect(times('"msg":"settings reloaded"')).toBe(2);
    }, 60);
    expect([times('a file with settings changed'), times('settings not reloaded')]).toEqual([2, 1]);
  } finally {
    end.abort();
    await ended;
    await airflow.close();
    rmSync(folder, { recursive: true });
  }
});
