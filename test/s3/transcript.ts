import { checkCommand } from '../../src/commands/check.ts';
import { callCommand } from '../support/call-command.ts';
import { ACCOUNT } from './servers.ts';
import type { World } from './world.ts';

/** The output of `check --probe-only` for this server; everything that differs from run to run is replaced. */
export async function transcriptOf(world: World): Promise<string> {
  const bucket = await world.newBucket();
  const endpoint = encodeURIComponent(world.endpoint);
  const { accessKeyId, secretAccessKey, region } = ACCOUNT;
  const { code, stdout, stderr } = await callCommand(checkCommand, {
    argv: ['--probe-only'],
    env: {
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: `s3://aws_xcom@${bucket}/xcom`,
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
      AIRFLOW_CONN_AWS_XCOM: `aws://${accessKeyId}:${secretAccessKey}@/?endpoint_url=${endpoint}&region_name=${region}`,
    },
  });
  const same = `${stdout}${stderr}`
    .replaceAll(bucket, 'BUCKET')
    .replaceAll(world.endpoint, 'http://127.0.0.1:PORT')
    .replace(/answered in \d+ ms/, 'answered in N ms');
  return `${same}\nexit code ${code}\n`;
}
