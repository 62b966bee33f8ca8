import type { Secret } from '../lib/secret.ts';
import type { Proxies, Way } from './agents.ts';
import type { ContainerAgent } from './container-agent.ts';

/**
 * Whose credentials these are. `workers`: Airflow's connection gives keys or a role, and the workers have the same.
 * `exporter`: this process has its own from elsewhere, or the workers may have others from a secrets backend. Their
 * refusal says nothing about the workers.
 */
export type Asker = 'workers' | 'exporter';

/** The address of object storage and the credentials for it. Null: not configured, so the AWS SDK's default applies. */
export interface S3Connection extends Way {
  readonly asker: Asker;
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly accessKeyId: string | null;
  readonly secretAccessKey: Secret | null;
  readonly sessionToken: Secret | null;
  /** The profile in AWS's files that supplies the settings missing here. */
  readonly profile: string | null;
  /** The keys in that profile; null when it has none or when other keys take precedence. */
  readonly profileKeys: ProfileKeys | null;
  /** The proxies on the way to STS for a web identity, or for the role of a profile. */
  readonly identityProxies: Proxies;
  /** Null: no role is assumed. */
  readonly role: AssumedRole | null;
  readonly forcePathStyle: boolean;
  /** Whether a PUT carries a checksum that the storage did not ask for. */
  readonly sendsChecksums: boolean;
  readonly variants: EndpointVariants;
  /** The default chain asks this agent last; null when there is none. */
  readonly agent: ContainerAgent | null;
}

export interface ProfileKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | null;
}

/** Other endpoints of AWS, by the SDK's names for them. An absent one is not used. */
export interface EndpointVariants {
  readonly useAccelerateEndpoint?: true;
  readonly useDualstackEndpoint?: true;
  readonly useFipsEndpoint?: true;
  /** The host of us-east-1 that has no region in its name. */
  readonly useGlobalEndpoint?: true;
}

/** The request to STS for a role. */
export interface AssumedRole {
  readonly arn: string;
  /** Null: AWS's endpoint. */
  readonly endpoint: string | null;
  readonly proxies: Proxies;
  readonly arguments: { readonly RoleArn: string; readonly RoleSessionName: string };
}
