import { readFileSync } from 'node:fs';
import { z } from 'zod';

interface Media {
  readonly schema: Readonly<Record<string, unknown>>;
}

export interface Operation {
  readonly method: string;
  readonly path: string;
  /** The described answers, by HTTP status. */
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content: Readonly<Record<string, Media>> }>
  >;
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Omit<Operation, 'method' | 'path'>>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

/** docs/openapi.json as it is on the disk, and as a client would have it. */
export function readOpenApi(): OpenApi {
  const text = readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8');
  return JSON.parse(text) as OpenApi;
}

export function listOperations({ paths }: OpenApi): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { responses }]) => ({
      method: method.toUpperCase(),
      path,
      responses,
    })),
  );
}

/** The differences between a value and the named schema: anything missing, or too much. Null when the value fits. */
export function faultOf(
  value: unknown,
  name: string,
  { components }: OpenApi = readOpenApi(),
): string | null {
  const text = JSON.stringify(components.schemas).replaceAll('#/components/schemas/', '#/$defs/');
  const $defs = JSON.parse(text) as Record<string, unknown>;
  const schema = z.fromJSONSchema({ $ref: `#/$defs/${name}`, $defs } as z.core.JSONSchema.JSONSchema);
  const result = schema.safeParse(value);
  return result.success ? null : z.prettifyError(result.error);
}

/** Compares an answer with the description for its status: the media type, and the shape of the JSON. */
export async function faultOfAnswer(response: Response, operation: Operation): Promise<string | null> {
  const described = operation.responses[String(response.status)];
  if (described === undefined) return `${response.status} is not described for ${operation.path}`;
  const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? '';
  const media = described.content[type];
  if (media === undefined) return `${type} is not described for ${response.status} of ${operation.path}`;
  if (type !== 'application/json') return null;
  const value: unknown = await response.json();
  const name = /\/(\w+)$/.exec(String(media.schema['$ref']))?.[1];
  return name === undefined ? null : faultOf(value, name);
}
