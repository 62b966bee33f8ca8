import { settingsTable } from '../settings/catalogue.ts';

const usage = `Usage: airflow-xcom-exporter [command] [--setting value ...]

Commands:
  run             runs the exporter (the default)
  check [--json]  takes one look at the database and probes S3 once; exit code 0: healthy, 1: problems, 2: undecided
                  [--probe-only] tries S3 alone, before you switch Airflow over: each permission, region, TLS, clock
  demo            shows everything on this machine, with a database, an S3 server and a workload of its own
                  [--once] plays the acts once; [--act-seconds N] the length of each (at least 8, default 40)
  audit           compares the whole bucket with the whole table, once: missing, orphaned, unreadable; docs/audit.md
                  [--inventory s3://…/manifest.json] [--out xcom-audit] [--older-than 7d] [--json] [--memory 1GiB]
                  [--pages-per-second 2000] [--requests-per-second 100] [--state]
                  [--references] only writes what rows name, for SQL elsewhere
  config          prints every setting, its value and where it came from
  canary          prints a DAG file that lets each pool of workers say what it does with XComs; docs/canary.md
                  [--queue NAME]… [--executor NAME]… [--pool NAME] [--every 5m] [--payload-bytes 1000] [--retries 0]
                  [--dag-id airflow_xcom_canary]
  help            prints this text

Options:
  --help, -h      this text
  --version       the version

Settings come from the first of these that gives a value: a flag, a variable (--sample.schedule is
XCOM_EXPORTER_SAMPLE_SCHEDULE), the YAML file of --config.file, Airflow's own variables, Airflow's file.
--database.url-file names a file that holds the URL.
`;

/** The text of `--help`: the commands, and every setting with its default. */
export function helpText(): string {
  const settings = settingsTable().map(
    ({ flag, description, default: value }) => `  ${flag}\n      ${description} (default: ${value})\n`,
  );
  return `${usage}\n${settings.join('').replaceAll('`', '')}`;
}
