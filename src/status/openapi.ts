import { z } from 'zod';
import { canarySchema } from './canary-document.ts';
import { checkSchema } from './check-document.ts';
import { preflightSchema } from './preflight-document.ts';
import { clearedSchema, findingSchema, problemSchema } from './problem-document.ts';
import {
  backendSchema,
  cycleSchema,
  effectiveSchema,
  probeStepSchema,
  problemStatesSchema,
  SCHEMA_VERSION,
  windowSchema,
} from './report-document.ts';
import { badRequestSchema, FINDINGS_PARAMETERS, findingsSchema, statusSchema } from './status-document.ts';
import { verdictSchema } from './verdict.ts';

/** Everything that has a name in the description, by that name. */
const SCHEMAS = {
  Status: statusSchema,
  Findings: findingsSchema,
  Check: checkSchema,
  Preflight: preflightSchema,
  BadRequest: badRequestSchema,
  Verdict: verdictSchema,
  Cycle: cycleSchema,
  Backend: backendSchema,
  Effective: effectiveSchema,
  Window: windowSchema,
  ProblemStates: problemStatesSchema,
  Problem: problemSchema,
  Cleared: clearedSchema,
  Finding: findingSchema,
  ProbeStep: probeStepSchema,
  Canary: canarySchema,
} as const;

const TEXT = 'text/plain';

/**
 * The API as OpenAPI 3.1, made from the schemas that the answers are typed by. `docs/openapi.json` is its text.
 * `Check` and `Preflight` are no answers of the API: they are what `check --json` prints, with or without
 * `--probe-only`, and share the parts.
 */
export function openApiDocument() {
  return {
    openapi: '3.1.1',
    info: {
      title: 'airflow-xcom-exporter',
      version: String(SCHEMA_VERSION),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'What the exporter found out about XComs, as JSON. `info.version` is `schema_version` of every document: it is raised when a field goes or changes its meaning, not when one is added. Null is not known, never zero. No XCom value is in any answer.',
    },
    security: [{}, { basic: [] }],
    tags: [{ name: 'verdict' }, { name: 'process' }],
    paths: {
      '/api/v1/status': {
        get: operation('status', 'The verdict, the problems and what they rest on', {
          200: json('Status', 'As of now.'),
          401: text('A user of basic_auth_users is needed.'),
        }),
      },
      '/api/v1/findings': {
        get: {
          ...operation('findings', 'The rows behind the problems', {
            200: json('Findings', 'Those that match, the newest of each problem first.'),
            400: json('BadRequest', 'A parameter is unknown, wrong or given twice.'),
            401: text('A user of basic_auth_users is needed.'),
          }),
          parameters: Object.entries(FINDINGS_PARAMETERS).map(([name, { description, schema }]) => ({
            name,
            in: 'query',
            description,
            schema: plainSchema(schema),
          })),
        },
      },
      '/api/v1/openapi.json': {
        get: operation('openapi', 'This description', {
          200: {
            description: 'OpenAPI 3.1.',
            content: { 'application/json': { schema: { type: 'object' } } },
          },
          401: text('A user of basic_auth_users is needed.'),
        }),
      },
      '/metrics': {
        get: {
          ...operation('metrics', 'The metrics in the text format 0.0.4', {
            200: text('One scrape. It asks neither Postgres nor S3.'),
            401: text('A user of basic_auth_users is needed.'),
          }),
          tags: ['process'],
        },
      },
      '/-/healthy': {
        get: {
          ...operation('healthy', 'Whether the process runs', { 200: text('It does.') }),
          tags: ['process'],
          security: [],
        },
      },
      '/-/ready': {
        get: {
          ...operation('ready', 'Whether the first cycle was attempted', {
            200: text('It was.'),
            503: text('Not yet, or the exporter is shutting down.'),
          }),
          tags: ['process'],
          security: [],
        },
      },
      '/-/reload': {
        post: {
          ...operation('reload', 'Reads the settings again, as SIGHUP does', {
            200: text('The new ones are in force.'),
            400: text('The old ones are: a line for each thing that is wrong.'),
            401: text('A user of basic_auth_users is needed.'),
            403: text('The request comes from a page in a browser.'),
          }),
          tags: ['process'],
        },
      },
    },
    components: {
      schemas: namedSchemas(),
      securitySchemes: { basic: { type: 'http', scheme: 'basic' } },
    },
  };
}

function operation(operationId: string, summary: string, responses: Readonly<Record<number, object>>) {
  return { operationId, summary, tags: ['verdict'], responses };
}

function json(name: keyof typeof SCHEMAS, description: string) {
  return {
    description,
    content: { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } },
  };
}

function text(description: string) {
  return { description, content: { [TEXT]: { schema: { type: 'string' } } } };
}

function namedSchemas(): Record<string, unknown> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    uri: (id) => `#/components/schemas/${id}`,
    override: shorten,
  });
  return Object.fromEntries(Object.keys(SCHEMAS).map((name) => [name, withoutAddress(schemas[name] ?? {})]));
}

function plainSchema(schema: z.ZodType): object {
  return withoutAddress(z.toJSONSchema(schema, { io: 'input', override: shorten }));
}

/** Removes the dialect, which is that of OpenAPI 3.1 itself, and the name, which is the key. */
function withoutAddress({ $schema, $id, ...schema }: Record<string, unknown>): object {
  return schema;
}

/** Removes bounds that follow from JavaScript, and the pattern that `format` says in a word: a reader needs neither. */
function shorten({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
}
