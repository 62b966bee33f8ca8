import type { AirflowOption, ConfigurationTexts } from '../airflow/config-option.ts';
import { lookUpOption } from '../airflow/config-option.ts';
import { connectionVariable } from '../airflow/connection.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import type { AirflowFile } from './airflow-file.ts';
import { placeName } from './airflow-source.ts';

/** The place of Airflow's task logs if it is S3: many take the connection of the logs for the one of XComs. */
export interface LogsInS3 {
  readonly folder: string;
  /** '' when it is the default chain of AWS; null when what is given is no id, and may be a secret. */
  readonly connection: string | null;
  /** The place of the folder's option, for a message. */
  readonly from: string;
}

/** Null: logs do not go to S3, or nobody told. */
export function readLogs(airflow: AirflowFile, env: ConfigurationTexts['env']): LogsInS3 | null {
  const answerOf = (key: string) => lookUpOption(option(key), { file: airflow.file, env });
  const textOf = (key: string) => {
    const answer = answerOf(key);
    return answer.kind === 'value' ? answer.text : '';
  };
  const folder = answerOf('remote_base_log_folder');
  if (!/^(?:t|true|1)$/i.test(textOf('remote_logging').trim())) return null;
  if (folder.kind !== 'value' || !/^s3[an]?:\/\/[^@\s]*$/i.test(folder.text)) return null;
  return {
    folder: folder.text,
    connection: idOf(textOf('remote_log_conn_id').trim()),
    from: placeName(folder.at, airflow),
  };
}

function idOf(text: string): string | null {
  return /^[\w.@-]*$/.test(text) ? text : null;
}

function option(key: string): AirflowOption {
  return { section: 'logging', key, former: null, sensitive: false };
}

/** In the environment the case of an id does not matter: AWS_DEFAULT is aws_default. */
export function sharesConnection(
  { connection }: Pick<LogsInS3, 'connection'>,
  path: Pick<XComPath, 'connection'>,
): boolean {
  return connection !== null && connectionVariable(connection) === connectionVariable(path.connection ?? '');
}

/** A hint for when XComs are refused and logs are not; '' when both use the same connection, or logs use none. */
export function logsWords(logs: LogsInS3 | null, path: XComPath): string {
  if (logs === null || logs.connection === null || logs.connection === '' || sharesConnection(logs, path))
    return '';
  const place = `${path.bucket}${path.prefix === '' ? '' : `/${path.prefix}`}`;
  return ` Logs go to S3 with the connection ${logs.connection}, which XComs do not use: if they are to, write s3://${logs.connection}@${place} as [common.io] xcom_objectstorage_path.`;
}
