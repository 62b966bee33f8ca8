import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist', 'coverage', 'test/airflow', 'test/fixtures'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      'no-restricted-globals': ['error', { name: 'process', message: 'Only src/main.ts knows the process.' }],
      'no-restricted-imports': [
        'error',
        {
          paths: [
            { name: 'pg', message: 'Only src/clients/postgres.ts imports pg.' },
            { name: '@aws-sdk/client-s3', message: 'Only src/clients/s3.ts imports the AWS SDK.' },
            { name: 'prom-client', message: 'Only src/metrics.ts imports prom-client.' },
          ],
        },
      ],
    },
  },
  {
    files: ['src/main.ts', 'test/**', '*.config.*'],
    rules: { 'no-restricted-globals': 'off' },
  },
  {
    files: ['src/clients/**', 'src/metrics.ts', 'test/**'],
    rules: { 'no-restricted-imports': 'off' },
  },
  { files: ['*.config.*'], extends: [tseslint.configs.disableTypeChecked] },
);
