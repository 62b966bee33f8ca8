import { PROBLEM_CODES, PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';

/** What to do about each problem, as Markdown. */
export function remedies(): string {
  const lines = PROBLEM_CODES.map((code) => {
    const { severity, title, remedy } = PROBLEMS[code];
    return `| \`${code}\` | ${severity} | ${title} | ${remedy} |`;
  });
  return `Which dags, tasks, queues and workers: the status page of the exporter, \`http://<instance>/\`. The statements to confirm each problem by hand: \`docs/runbook.md\`.

| problem | severity | meaning | what to do |
|---|---|---|---|
${lines.join('\n')}
`;
}

/** By code: a table shows them in its place. */
export function meanings(): Record<string, readonly [text: string, color: string]> {
  const colors = { critical: 'red', warning: 'orange', info: 'blue' };
  return Object.fromEntries(
    PROBLEM_CODES.map((code) => {
      const { severity, title } = PROBLEMS[code];
      return [code, [`${code}: ${title}`, colors[severity]]];
    }),
  );
}
