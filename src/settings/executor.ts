import type { AirflowOption, ConfigurationTexts } from '../airflow/config-option.ts';
import { lookUpOption } from '../airflow/config-option.ts';
import type { AirflowFile } from './airflow-file.ts';
import { isQuoted } from './airflow-source.ts';

/** The place where Airflow's executors run tasks: all beside the scheduler, or some elsewhere. */
export type TaskPlace = 'beside_scheduler' | 'elsewhere';

const OPTION: AirflowOption = { section: 'core', key: 'executor', former: null, sensitive: false };

/** Null: nobody told. */
export function readTaskPlace(airflow: AirflowFile, env: ConfigurationTexts['env']): TaskPlace | null {
  const answer = lookUpOption(OPTION, { file: airflow.file, env });
  // Airflow has no executor of a name in quotes, unless what starts it takes them off.
  if (answer.kind !== 'value' || isQuoted(answer.text)) return null;
  // `LocalExecutor,alias:my.module.CeleryExecutor;team=…` in its longest form.
  const classes = answer.text
    .split(/[,;]/)
    .map((text) => text.trim().split(/[=:.]/).at(-1) ?? '')
    .filter((name) => name !== '');
  if (classes.length === 0) return null;
  return classes.every((name) => /^(?:Local|Sequential|Debug)Executor$/.test(name))
    ? 'beside_scheduler'
    : 'elsewhere';
}
