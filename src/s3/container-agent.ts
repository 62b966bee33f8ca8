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
/** Matches `(AccessDeniedException): Unauthorized …` of the Pod Identity agent and `"code":"…"` of others. */
const WORD = /\b([A-Z][A-Za-z]{2,50}Exception)\b|"[Cc]ode"\s*:\s*"([\w.-]{1,60})"/;

/** Asks the agent once more, because the SDK drops the agent's answer. Null: the agent gives credentials by now. */
export async function askAgent(agent: ContainerAgent): Promise<AgentFailure | null> {
  try {
    const token = agent.tokenFile === null ? agent.token?.reveal() : readFileSync(agent.tokenFile, 'utf8');
    const answer = await fetch(agent.url, {
      headers: token === undefined ? {} : { authorization: token },
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (answer.ok) return null;
    const [, exception, code] = WORD.exec((await answer.text()).slice(0, 4_000)) ?? [];
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
