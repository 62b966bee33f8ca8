import { readFileSync } from 'node:fs';
import { parseUrl } from '../lib/parse-url.ts';
import type { Secret } from '../lib/secret.ts';

/** The service that gives a container its credentials: EKS's Pod Identity agent, ECS's agent, or a compatible one. */
export interface ContainerAgent {
  readonly url: string;
  readonly tokenFile: string | null;
  readonly token: Secret | null;
}

/** The agent gave no credentials. */
export class AgentFailure extends Error {
  override readonly name = 'AgentFailure';
  /** Null: the agent did not answer. */
  readonly status: number | null;
  /** The agent's error code or Node's; null when there is none. */
  readonly code: string | null;
  readonly host: string;

  constructor(agent: ContainerAgent, { status, code }: { status: number | null; code: string | null }) {
    super('The agent of credentials gave none');
    this.host = hostOf(agent.url);
    this.status = status;
    this.code = code;
  }
}

const timeoutMs = 1_000;
const KEYS = /"AccessKeyId"\s*:/;
/** Matches `(AccessDeniedException): Unauthorized …` of the Pod Identity agent and `"code":"…"` of others. */
const WORD = /\b([A-Z][A-Za-z]{2,50}Exception)\b|"[Cc]ode"\s*:\s*"([\w.-]{1,60})"/;

/**
 * Whether this error may hide an answer of the agent, which the SDK asks last. The errors of others show their origin: a
 * file has a path, and the SDK asks STS by a client, which leaves metadata.
 */
export function mayHideAgent(error: unknown): boolean {
  return (
    error instanceof Error &&
    !(error instanceof AgentFailure) &&
    !('path' in error) &&
    !('$metadata' in error)
  );
}

/**
 * Asks the agent once more, because the SDK drops the agent's answer. Null: the agent gives credentials by now.
 *
 * @throws {Error} when the file of its token cannot be read.
 */
export async function askAgent(agent: ContainerAgent): Promise<AgentFailure | null> {
  const token = agent.tokenFile === null ? agent.token?.reveal() : readFileSync(agent.tokenFile, 'utf8');
  try {
    const answer = await fetch(agent.url, {
      headers: token === undefined ? {} : { authorization: token },
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await answer.text();
    if (answer.ok && KEYS.test(text)) return null;
    const [, exception, code] = WORD.exec(text.slice(0, 4_000)) ?? [];
    return new AgentFailure(agent, { status: answer.status, code: exception ?? code ?? null });
  } catch (error) {
    return new AgentFailure(agent, { status: null, code: codeOf(error) });
  }
}

/** `fetch` hides Node's error code in a cause. */
function codeOf(error: unknown): string | null {
  const { code, name, cause } = Object(error) as { code?: unknown; name?: unknown; cause?: unknown };
  if (typeof code === 'string') return code;
  if (name === 'TimeoutError') return name;
  return cause === undefined ? null : codeOf(cause);
}

function hostOf(url: string): string {
  return parseUrl(url)?.host ?? 'its address';
}
