import type { ObjectStore } from './client.ts';
import type { BucketAnswer } from './look-for-bucket.ts';
import type { Unknown } from './failure.ts';

/**
 * A store whose credentials stand in for others that are not known. A refusal says nothing about those others, so it is
 * reported as missing credentials, with `why`.
 */
export function standIn(store: ObjectStore, why: string): ObjectStore {
  async function told<Answer extends { readonly kind: string }>(asked: Promise<Answer>): Promise<Answer> {
    const answer = await asked;
    return isUnknown(answer) ? { ...answer, ...inPlaceOf(answer, why) } : answer;
  }
  return {
    ...store,
    put: (...asked) => told(store.put(...asked)),
    head: (...asked) => told(store.head(...asked)),
    get: (...asked) => told(store.get(...asked)),
    peek: (...asked) => told(store.peek(...asked)),
    list: (...asked) => told(store.list(...asked)),
    delete: (...asked) => told(store.delete(...asked)),
    seeBucket: async (...asked) => {
      const answer: BucketAnswer = await store.seeBucket(...asked);
      if (answer.kind === 'seen') return answer;
      const { head, location } = answer;
      return {
        kind: 'unseen',
        head: { ...head, ...inPlaceOf(head, why) },
        location: { ...location, ...inPlaceOf(location, why) },
      };
    },
  };
}

function isUnknown(answer: { readonly kind: string }): answer is Unknown {
  return answer.kind === 'unknown';
}

function inPlaceOf(answer: Unknown, why: string): Pick<Unknown, 'detail' | 'said'> {
  if (answer.reason === 'aborted') return answer;
  return {
    detail: `${why}, and with the credentials found in its place: ${answer.detail}`,
    said: { ...answer.said, by: 'credentials' },
  };
}
