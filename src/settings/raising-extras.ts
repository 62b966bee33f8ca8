import type { AirflowConnection } from '../airflow/connection.ts';
import type { Warning } from './push-fault.ts';

type Extra = AirflowConnection['extra'];

/** The ways to a role that the Amazon provider knows; without a way it takes the first. */
const METHODS = ['assume_role', 'assume_role_with_saml', 'assume_role_with_web_identity'];

/**
 * Values over which the Amazon provider or botocore raises at every push, though the exporter could do without them.
 * Tested with the provider 9.39 and botocore 1.43.
 */
export function raisingExtras({ extra }: AirflowConnection, who: string): readonly Warning[] {
  return [
    ...nulls(extra).map((name) => ({
      pushFault: `${who} has null for ${name}, over which every push of Airflow fails. Leave it out`,
    })),
    ...(extra.role_arn && !isKnownMethod(extra)
      ? [
          {
            pushFault: `${who} has an assume_role_method that Airflow does not know: every push fails. Leave it out, or write assume_role`,
          },
        ]
      : []),
  ];
}

/** Whether the role is taken in a way that exists. Only a method that is left out has a default. */
export function isKnownMethod({ assume_role_method: method }: Extra): boolean {
  return method === undefined || (method !== null && METHODS.includes(method));
}

/** The keys in whose place the provider has a default only if they are left out. */
function nulls({ config_kwargs: config, service_config: services, role_arn: role }: Extra): string[] {
  const values = {
    config_kwargs: config,
    'config_kwargs.s3.us_east_1_regional_endpoint': config?.s3?.us_east_1_regional_endpoint,
    service_config: services,
    'service_config.s3': services?.s3,
    'service_config.sts': role ? services?.sts : undefined,
  };
  return Object.entries(values).flatMap(([name, value]) => (value === null ? [name] : []));
}
