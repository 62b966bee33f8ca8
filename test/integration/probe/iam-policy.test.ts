import { readFileSync } from 'node:fs';
import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { secret } from '../../../src/lib/secret.ts';
import { probe } from '../../../src/probe/bucket.ts';
import { useS3 } from '../../support/s3.ts';

const s3 = useS3('airflow-xcom');

describe('docs/iam/policy.json', () => {
  test('allows what the probe and the look-ups ask for', async () => {
    const { asked, store } = recording(openStore());
    const { signal } = new AbortController();
    const place = { bucket: 'airflow-xcom', key: 'xcom/dag/run/task/11111111-1111-4111-8111-111111111111' };

    const { steps } = await probe(
      store,
      { bucket: 'airflow-xcom', prefix: 'xcom', write: true, now: Date.now(), id: 'test' },
      signal,
    );
    await store.head(place, signal);
    await store.list({ bucket: 'airflow-xcom', prefix: 'xcom/dag/run/', after: null }, signal);

    expect(steps.map((step) => step.ok)).toEqual([true, true, true, true, true]);
    expect(new Set(asked.map(({ action }) => action))).toEqual(
      new Set(['s3:PutObject', 's3:GetObject', 's3:ListBucket', 's3:DeleteObject']),
    );
    expect(asked.filter((request) => !isAllowed(request))).toEqual([]);
  });

  test.each<Asked>([
    { action: 's3:PutObject', resource: 'airflow-xcom/xcom/dag/run/task/object' },
    { action: 's3:DeleteObject', resource: 'airflow-xcom/xcom/dag/run/task/object' },
    { action: 's3:GetObject', resource: 'airflow-xcom/other/object' },
    { action: 's3:GetObject', resource: 'another-bucket/xcom/object' },
    { action: 's3:ListBucket', resource: 'airflow-xcom', prefix: '' },
    { action: 's3:ListBucket', resource: 'airflow-xcom', prefix: 'other/' },
    { action: 's3:ListBucket', resource: 'airflow-xcom' },
    // If the bucket keeps versions, the probe deletes its own versions for good, and no others.
    { action: 's3:DeleteObjectVersion', resource: 'airflow-xcom/xcom/dag/run/task/object' },
  ])('does not allow $action on $resource', (request) => {
    expect(isAllowed(request)).toBe(false);
  });
});

/** A request as the policy sees it; the resource is given without `arn:aws:s3:::`. */
interface Asked {
  readonly action: string;
  readonly resource: string;
  readonly prefix?: string;
}

interface PolicyStatement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: string;
  readonly Condition?: { readonly StringLike: Record<'s3:prefix', string> };
}

/** The part of IAM's evaluation that the policy uses: no Deny, wildcards, one condition. */
function isAllowed({ action, resource, prefix }: Asked): boolean {
  const text = readFileSync(new URL('../../../docs/iam/policy.json', import.meta.url), 'utf8');
  const policy = JSON.parse(text) as { Version: string; Statement: PolicyStatement[] };
  expect(policy.Version).toBe('2012-10-17');
  return policy.Statement.some(({ Effect, Action, Resource, Condition, ...rest }) => {
    expect([Effect, Object.keys(rest), Object.keys(Condition ?? {})]).toEqual([
      'Allow',
      ['Sid'],
      Condition === undefined ? [] : ['StringLike'],
    ]);
    const wanted = Condition?.StringLike['s3:prefix'];
    return (
      [Action].flat().includes(action) &&
      isLike(`arn:aws:s3:::${resource}`, Resource) &&
      (wanted === undefined || (prefix !== undefined && isLike(prefix, wanted)))
    );
  });
}

function isLike(text: string, pattern: string): boolean {
  const literal = pattern.split('*').map((part) => part.replace(/[.+^${}()|[\]\\?]/g, '\\$&'));
  return new RegExp(`^${literal.join('.*')}$`, 's').test(text);
}

function openStore(): ObjectStore {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3();
  return openObjectStore(
    {
      region,
      endpoint,
      accessKeyId,
      secretAccessKey: secret(secretAccessKey),
      sessionToken: null,
      profile: null,
      role: null,
      forcePathStyle: true,
      authorities: null,
      proxies: NO_PROXIES,
      identityProxies: NO_PROXIES,
      sendsChecksums: true,
      asker: 'workers',
      variants: {},
      agent: null,
      profileKeys: null,
    },
    { observer: { request: () => undefined, failure: () => undefined }, log: pino({ level: 'silent' }) },
  );
}

/** Passes everything on and notes the permission that AWS asks for (HEAD needs that of GET). */
function recording(inner: ObjectStore): { readonly asked: Asked[]; readonly store: ObjectStore } {
  const asked: Asked[] = [];
  function object(action: string, { bucket, key }: { bucket: string; key: string }): void {
    asked.push({ action, resource: `${bucket}/${key}` });
  }
  const store: ObjectStore = {
    put: (target, signal) => (object('s3:PutObject', target), inner.put(target, signal)),
    head: (target, signal) => (object('s3:GetObject', target), inner.head(target, signal)),
    get: (target, signal) => (object('s3:GetObject', target), inner.get(target, signal)),
    peek: (target, signal) => (object('s3:GetObject', target), inner.peek(target, signal)),
    delete: (target, signal) => {
      object(target.version === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion', target);
      return inner.delete(target, signal);
    },
    list: (target, signal) => {
      asked.push({ action: 's3:ListBucket', resource: target.bucket, prefix: target.prefix });
      return inner.list(target, signal);
    },
    seeBucket: (bucket, signal) => {
      asked.push({ action: 's3:GetBucketLocation', resource: bucket });
      return inner.seeBucket(bucket, signal);
    },
    clockSkewSeconds: () => inner.clockSkewSeconds(),
    close: () => {
      inner.close();
    },
  };
  return { asked, store };
}
