import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { eventually, startAirflow, startDaemon, workerEnv } from '../../support/daemon.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { startTcpFaultProxy } from '../../support/tcp-fault-proxy.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

afterEach(() => {
  vi.useRealTimers();
});

/** A clock that goes on running from the time to which it is set. */
function startClock(): { setBackAnHour(): void; stop(): void } {
  vi.useFakeTimers({ toFake: ['Date'], shouldAdvanceTime: false });
  const [start, real] = [Date.now(), performance.now()];
  let offset = 0;
  const timer = setInterval(() => vi.setSystemTime(start + offset + (performance.now() - real)), 10);
  return {
    setBackAnHour() {
      offset = -3_600_000;
    },
    stop() {
      clearInterval(timer);
    },
  };
}

test('a clock that is set back after a reload keeps no old verdict alive', async () => {
  const airflow = await startAirflow(postgres(), s3());
  const database = await startTcpFaultProxy({ upstream: postgres() });
  const clock = startClock();
  const daemon = await startDaemon(workerEnv(airflow, s3(), { database }));
  try {
    await airflow.push('one');
    await airflow.push('x'.repeat(500));
    await eventually(async () => {
      expect(await daemon.value('healthy')).toBe(1);
    });
    await daemon.renew();
    clock.setBackAnHour();
    await eventually(() => {
      expect(daemon.status().reloading).toBe(false);
    });
    await database.setMode('cut');
    await eventually(async () => {
      expect([await daemon.value('healthy'), daemon.status().reloading]).toEqual([undefined, false]);
    });
  } finally {
    await daemon.close();
    clock.stop();
    await database.stop();
    await airflow.close();
  }
});

test('a clock that is set back as the database goes away keeps no old figure alive', async () => {
  const airflow = await startAirflow(postgres(), s3());
  const database = await startTcpFaultProxy({ upstream: postgres() });
  const clock = startClock();
  const daemon = await startDaemon(workerEnv(airflow, s3(), { database }));
  const gauge = () => daemon.value('problem', { problem: 'oversize_in_db', severity: 'warning' });
  try {
    await eventually(async () => {
      expect(await gauge()).toBe(0);
    });
    clock.setBackAnHour();
    await database.setMode('cut');
    await eventually(async () => {
      expect(await gauge()).toBeUndefined();
    });
    // Cycles go on, and fail.
    await delay(1_500);
    expect(await gauge()).toBeUndefined();
  } finally {
    await daemon.close();
    clock.stop();
    await database.stop();
    await airflow.close();
  }
});
