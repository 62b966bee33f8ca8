import tseslint from 'typescript-eslint';
import ts from 'typescript';

/** The packages that one room alone may import: another version of one, or another package, then touches that room. */
const ROOM_OF = {
  pg: { files: ['src/postgres/**'], packages: ['pg'] },
  s3: { files: ['src/s3/**'], packages: ['@aws-sdk/*', '@smithy/*'] },
  metrics: { files: ['src/metrics/**'], packages: ['prom-client'] },
  http: { files: ['src/http/**'], packages: ['express'] },
  duckdb: { files: ['src/audit/**'], packages: ['@duckdb/*'] },
  cron: { files: ['src/lib/cron.ts', 'src/daemon/schedule.ts'], packages: ['node-cron'] },
};

/** Everything that is kept to a room, except what is `own`. */
function importsOf(own) {
  const patterns = Object.entries(ROOM_OF)
    .filter(([name]) => !own.includes(name))
    .map(([, { files, packages }]) => ({
      group: packages,
      message: `Only ${files.join(' and ')} may import it.`,
    }));
  return ['error', { patterns }];
}

const COMPARED = 'CallExpression[callee.property.name=/^toBe(Less|Greater)Than/]';
const EXPECTED = 'CallExpression[callee.name="expect"]';

/** A busy machine makes such a test fail, and an idle one hides what it is for: count work, or say what comes first. */
const TIMED = [
  `${COMPARED} ${EXPECTED} BinaryExpression[operator="-"] CallExpression[callee.property.name="now"]`,
  `${COMPARED} ${EXPECTED} > Identifier[name=/^(ms|took|elapsed|seconds|millis)|(Ms|Millis|Seconds|Elapsed)$/]`,
  `${COMPARED} ${EXPECTED} > MemberExpression[property.name=/^(ms|took|elapsed|seconds|millis)$|(Ms|Millis|Seconds|Elapsed)$/]`,
].map((selector) => ({ selector, message: 'No assertion on elapsed time.' }));

/** What `tsc --noEmit` says: the linter has made the same program and asked for nearly all types of it already. */
const compiles = {
  create: (context) => ({
    Program: (node) => {
      const { program, esTreeNodeToTSNodeMap } = context.sourceCode.parserServices;
      const file = esTreeNodeToTSNodeMap.get(node);
      for (const { start = 0, messageText } of [
        ...program.getSyntacticDiagnostics(file),
        ...program.getSemanticDiagnostics(file),
      ])
        context.report({
          loc: context.sourceCode.getLocFromIndex(start),
          message: ts.flattenDiagnosticMessageText(messageText, ' '),
        });
    },
  }),
};

export default tseslint.config(
  { ignores: ['dist', 'coverage', 'findings', 'test/airflow', 'test/fixtures'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: 'tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { typescript: { rules: { compiles } } },
    rules: {
      'typescript/compiles': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      'no-restricted-globals': ['error', { name: 'process', message: 'Only src/main.ts knows the process.' }],
      'no-restricted-imports': importsOf([]),
    },
  },
  {
    files: ['src/main.ts', 'test/**', '*.config.*'],
    rules: { 'no-restricted-globals': 'off' },
  },
  ...Object.entries(ROOM_OF).map(([name, { files }]) => ({
    files,
    rules: { 'no-restricted-imports': importsOf([name]) },
  })),
  { files: ['test/**'], rules: { 'no-restricted-imports': 'off' } },
  {
    // What `npm test` runs, and faults of the database; how long something takes is what some other suites are for.
    files: ['test/{unit,integration,cli,charts,supply-chain,support,database}/**'],
    rules: { 'no-restricted-syntax': ['error', ...TIMED] },
  },
  {
    files: ['*.config.js'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: { 'typescript/compiles': 'off' },
  },
);
