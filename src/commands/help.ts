import { settingsTable } from '../settings/catalogue.ts';

const usage = `Usage: airflow-xcom-exporter [command] [--setting value ...]

Commands:
  run             the exporter (the default)
  check [--json]  one look at the database and one probe of S3, printed; exit code 0: healthy, 1: problems, 2: undecided
                  [--probe-only] S3 alone, before Airflow is switched over: each permission by itself, region, TLS, clock
  demo            the whole product on this machine, with a database, an S3 and an Airflow's workload of its own
                  [--once] one pass of the acts, [--act-seconds N] the length of each (default 40)
  audit           the whole bucket against the whole table, once: what is missing, orphaned, unreadable; docs/audit.md
                  [--inventory s3://…/manifest.json] [--out xcom-audit] [--older-than 7d] [--json] [--memory 1GiB]
                  [--pages-per-second 2000] [--requests-per-second 100]
  config          every setting, its value and where it came from
  canary          prints a DAG file with which each pool of workers says what it does with XComs
                  [--queue NAME]… [--executor NAME]… [--pool NAME] [--every 5m] [--payload-bytes 1000] [--retries 0]
                  [--dag-id airflow_xcom_canary]

Options:
  --help, -h      this text
  --version       the version

Settings: a flag, else a variable (--sample.schedule is XCOM_EXPORTER_SAMPLE_SCHEDULE), else the YAML file named by
--config.file, else Airflow's own variables. --database.url-file names a file that holds the URL.
`;

/** The text of `--help`: the commands, and every setting with its default. */
export function helpText(): string {
  const settings = settingsTable().map(
    ({ flag, description, default: value }) => `  ${flag}\n      ${description} (default: ${value})\n`,
  );
  return `${usage}\n${settings.join('').replaceAll('`', '')}`;
}
