import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { EmbeddedS3 } from '../../src/demo/embedded-s3.ts';

/** A running daemon, with the lines of its log. */
export interface Daemon {
  readonly lines: readonly string[];
  /** Waits for a log line that contains the text, from line `from` on. */
  readonly logged: (text: string, from?: number) => Promise<string>;
  readonly pid: number | undefined;
  readonly stop: () => Promise<void>;
}

interface DaemonOptions {
  readonly url: string;
  readonly s3: EmbeddedS3;
  readonly maxDags: number;
  readonly nodeArguments?: readonly string[];
}

export function startDaemon(main: string, { url, s3, maxDags, nodeArguments = [] }: DaemonOptions): Daemon {
  const endpoint = encodeURIComponent(s3.endpoint);
  const daemon = spawn(process.execPath, [...nodeArguments, main, 'run'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url.replace('postgresql:', 'postgresql+psycopg2:'),
      AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/xcom',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '100',
      AIRFLOW_CONN_AWS_XCOM: `aws://${s3.accessKeyId}:${s3.secretAccessKey}@/?endpoint_url=${endpoint}&region_name=${s3.region}`,
      // Cycles follow one another: the next tick is a second away at most.
      XCOM_EXPORTER_SAMPLE_SCHEDULE: '* * * * * *',
      XCOM_EXPORTER_LABELS_MAX_DAGS: String(maxDags),
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
  });
  const lines: string[] = [];
  for (const stream of [daemon.stdout, daemon.stderr])
    createInterface(stream).on('line', (line) => lines.push(line));
  return {
    lines,
    pid: daemon.pid,
    async logged(text, from = 0) {
      for (let waited = 0; waited < 1_200; waited += 1) {
        const found = lines.slice(from).find((line) => line.includes(text));
        if (found !== undefined) return found;
        if (daemon.exitCode !== null) break;
        await delay(100);
      }
      throw new Error(`The exporter never said ${text}:\n${lines.slice(-5).join('\n')}`);
    },
    async stop() {
      if (daemon.exitCode !== null) return;
      daemon.kill();
      await once(daemon, 'exit');
    },
  };
}
