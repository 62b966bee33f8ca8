import type { Finding } from '../diagnosis/evidence.ts';
import type { PathOwner } from '../diagnosis/leaked-paths.ts';
import { pathWords, thresholdWords } from '../diagnosis/observed.ts';
import { PROBLEMS, RUNBOOK, runbookOf } from '../diagnosis/problem-catalogue.ts';
import type { Problem } from '../diagnosis/problem.ts';
import type { Report } from '../diagnosis/report.ts';
import { formatSeconds, sizeWords } from '../lib/format.ts';
import type { Tried } from '../probe/bucket.ts';
import type { Checked } from '../status/check-document.ts';
import { checkCode, checkVerdict } from '../status/check-document.ts';
import { canaryLines } from './canary-lines.ts';
import type { Paint } from './terminal.ts';
import { plain } from './terminal.ts';

/** Findings shown under each problem. */
const SHOWN = 5;

/** The verdict for a person: first the answer, then what is wrong, where, and what to do. */
export function checkText(checked: Checked, paint: Paint): string {
  const { report, probed, warnings } = checked;
  const { title, notes } = checkVerdict(checked);
  const lines: string[] = [];
  switch (checkCode(checked)) {
    case 0:
      lines.push(paint(`${title}.`, 'green'));
      break;
    case 1:
      lines.push(paint(`${title} found.`, 'red'));
      break;
    case 2:
      lines.push(paint(`${title}.`, 'yellow'));
  }
  // Problems come before what is not known.
  const isWrong = checkCode(checked) === 1;
  if (!isWrong) lines.push(...notes.map(plain));
  for (const problem of report.problems) lines.push('', ...problemLines(problem, paint));
  if (isWrong && notes.length > 0) lines.push('', ...notes.map(plain));
  // From inside a container the path alone leads nowhere, and only the reader knows the address of the exporter.
  if (report.problems.length > 0)
    lines.push(
      '',
      `The runbook: ${RUNBOOK} in the repository, /${RUNBOOK} at the address of a running exporter.`,
    );
  if (warnings.length > 0)
    lines.push('', 'The settings:', ...warnings.map((warning) => `  ${plain(warning)}`));
  lines.push('', ...windowLines(report), ...probeLines(probed), ...canaryLines(report.canary.verdict));
  return `${lines.join('\n')}\n`;
}

function problemLines({ code, evidence, where, findings }: Problem, paint: Paint): string[] {
  const { severity, title, remedy } = PROBLEMS[code];
  return [
    `${paint(severity.toUpperCase(), severity === 'critical' ? 'red' : 'yellow')} ${paint(code, 'bold')}: ${title}`,
    `  ${plain(evidence)}`,
    ...(where.length === 0
      ? []
      : [
          `  Where: ${where.map(({ label, value, rows }) => `${label} ${plain(value)} (${rows})`).join(', ')}`,
        ]),
    ...findings.slice(0, SHOWN).map((finding) => `    - ${findingWords(finding)}`),
    ...(findings.length > SHOWN ? [`    - and ${findings.length - SHOWN} more`] : []),
    `  What to do: ${remedy}`,
    `  More: ${runbookOf(code)}`,
  ];
}

function findingWords(finding: Finding): string {
  const { bytes, queue, hostname, object = null, pathOf = null } = finding;
  const size = bytes === null ? '' : `, ${sizeWords(bytes)}`;
  const worker = [
    queue === null ? '' : `queue ${plain(queue)}`,
    hostname === null ? '' : `host ${plain(hostname)}`,
  ];
  const words = [
    ...worker,
    object === null ? '' : `object s3://${plain(`${object.bucket}/${object.key}`)}`,
    pathOf === null ? '' : `the path of ${rowWords(pathOf)}`,
  ];
  return `${rowWords(finding)}${size}${words
    .filter((word) => word !== '')
    .map((word) => `, ${word}`)
    .join('')}`;
}

/** The key and the map index are not known for a row that is not in the window. */
function rowWords({ dagId, runId, taskId, mapIndex, key }: Finding | PathOwner): string {
  const place = [dagId, runId, taskId].map(plain).join(' / ');
  const mapped = mapIndex === null || mapIndex < 0 ? '' : ` [${mapIndex}]`;
  return `${place}${mapped}${key === null ? '' : `, key ${plain(key)}`}`;
}

function windowLines({ window, backend, coverage, thresholdBytes, observed }: Report): string[] {
  if (window === null) return ['The window could not be read.'];
  const { rows, broken } = window;
  const known = (figure: number | null) => (figure === null ? 'unknown' : String(figure));
  return [
    `Airflow ${backend?.airflow ?? 'unknown'} (${backend?.schema ?? 'unknown'}), rows of the last ${formatSeconds(window.seconds)} in runs that were active then:`,
    `  in the database ${rows.db}, in S3 ${rows.s3}, elsewhere ${rows.other}`,
    `  oversize in the database ${window.oversizeRows}, ${sizeWords(window.oversizeBytes)} together`,
    `  broken references: missing ${known(broken.missing)}, empty ${known(broken.empty)}, unreadable ${known(broken.unreadable)}, path mismatch ${known(broken.path_mismatch)}, leaked ${known(broken.leaked)}`,
    `  objects without a row ${known(window.orphanObjects)}`,
    `  decided ${decidedWords(rows, coverage)}`,
    `  threshold configured: ${known(thresholdBytes)}; seen: ${thresholdWords(observed)}`,
    `  path configured: ${backend === null ? 'unknown' : plain(placeWords(backend))}; seen: ${plain(pathWords(observed))}`,
  ];
}

function decidedWords(rows: Readonly<Record<string, number>>, coverage: number | null): string {
  if (coverage === null) return 'unknown';
  const isEmpty = Object.values(rows).every((count) => count === 0);
  return isEmpty ? 'nothing: there is no row' : `${Math.floor(coverage * 100)} %`;
}

function placeWords({ connection, bucket, prefix }: NonNullable<Report['backend']>): string {
  if (bucket === null) return 'unknown';
  const words = Object.entries({ connection, bucket, prefix }).filter(([, value]) => value !== '');
  return words.length === 0 ? 'none' : words.map(([name, value]) => `${name} ${value ?? ''}`).join(', ');
}

function probeLines(probed: Tried | null): string[] {
  if (probed === null) return ['Probe: none.'];
  const words = probed.steps.map((step) => {
    if (step.ok === null) return `${step.operation} not tried`;
    return step.ok ? `${step.operation} ok` : `${step.operation} ${step.reason} (${plain(step.detail)})`;
  });
  return [`Probe: ${words.join(', ')}`];
}
