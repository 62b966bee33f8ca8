import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** How many series kube-state-metrics shows for one of the pods below. */
const SERIES_A_POD = 41;
const NAMESPACE = 'airflow';
const STARTED = '2026-11-01T00:00:00Z';
const PORT = 20_000 + (process.pid % 1_000);

export interface Peer {
  /** The address of its page. */
  readonly metrics: string;
  readonly version: string;
  readonly stop: () => Promise<void>;
}

/** Starts kube-state-metrics on an API server that has so many pods that the page has about `series` series. */
export async function startPeer(program: string, series: number): Promise<Peer> {
  const api = await serveApi(Array.from({ length: Math.ceil(series / SERIES_A_POD) }, (_, at) => podOf(at)));
  const metrics = `http://127.0.0.1:${PORT}/metrics`;
  const child = spawn(
    program,
    [
      `--apiserver=${api.url}`,
      '--resources=pods',
      '--enable-gzip-encoding',
      '--host=127.0.0.1',
      `--port=${PORT}`,
      '--telemetry-host=127.0.0.1',
      `--telemetry-port=${PORT + 1_000}`,
    ],
    { stdio: 'ignore' },
  );
  const stop = async () => {
    if (child.exitCode === null) {
      child.kill();
      await once(child, 'exit');
    }
    api.close();
  };
  for (let tries = 0; tries < 150; tries += 1) {
    const page = await fetch(metrics).then(
      (answer) => answer.text(),
      () => '',
    );
    if (page.includes(`pod="pod-${Math.ceil(series / SERIES_A_POD) - 1}"`))
      return { metrics, version: versionOf(program), stop };
    await delay(200);
  }
  await stop();
  throw new Error(`${program} shows no pods`);
}

function versionOf(program: string): string {
  const words = execFileSync(program, ['version'], { encoding: 'utf8' });
  return /version v?(\d[\w.-]*)/.exec(words)?.[1] ?? 'of an unknown version';
}

/** Answers for pods alone, and never with a change. */
async function serveApi(
  pods: readonly object[],
): Promise<{ readonly url: string; readonly close: () => void }> {
  const watches = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const send = (value: object) => response.end(JSON.stringify(value));
    response.setHeader('content-type', 'application/json');
    if (pathname === '/version') send({ major: '1', minor: '34', gitVersion: 'v1.34.0' });
    else if (pathname !== '/api/v1/pods') response.writeHead(404).end('{}');
    else if (searchParams.has('watch')) {
      response.flushHeaders();
      // With a list that begins as events, the first ones are the pods, and a bookmark ends them.
      if (searchParams.get('sendInitialEvents') === 'true') {
        for (const object of pods) response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
        const metadata = { resourceVersion: '1', annotations: { 'k8s.io/initial-events-end': 'true' } };
        response.write(
          `${JSON.stringify({ type: 'BOOKMARK', object: { apiVersion: 'v1', kind: 'Pod', metadata } })}\n`,
        );
      }
      watches.add(response);
    } else send({ kind: 'PodList', apiVersion: 'v1', metadata: { resourceVersion: '1' }, items: pods });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      for (const watch of watches) watch.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

function podOf(at: number): object {
  const name = `pod-${at}`;
  const container = { name: 'base', image: 'apache/airflow:3.3.2' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: NAMESPACE,
      uid: `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`,
      resourceVersion: '1',
      creationTimestamp: STARTED,
    },
    spec: {
      nodeName: 'node',
      restartPolicy: 'Always',
      containers: [
        {
          ...container,
          resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '2Gi' } },
        },
      ],
    },
    status: {
      phase: 'Running',
      startTime: STARTED,
      podIP: '10.0.0.1',
      hostIP: '10.0.0.2',
      qosClass: 'Burstable',
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
        type,
        status: 'True',
        lastTransitionTime: STARTED,
      })),
      containerStatuses: [
        {
          ...container,
          imageID: 'sha256:0',
          containerID: 'containerd://0',
          ready: true,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: STARTED } },
        },
      ],
    },
  };
}
