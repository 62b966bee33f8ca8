/**
 * A rule for oxlint: no assertion on elapsed time. Such a test fails on a busy machine, and an idle machine hides
 * what the test is for. Count work instead, or assert what comes first.
 */
const COMPARED = 'CallExpression[callee.property.name=/^toBe(Less|Greater)Than/]';
const EXPECTED = 'CallExpression[callee.name="expect"]';
const TIME = '/^(ms|took|elapsed|seconds|millis)$|(Ms|Millis|Seconds|Elapsed)$/';

const SELECTORS = [
  `${COMPARED} ${EXPECTED} BinaryExpression[operator="-"] CallExpression[callee.property.name="now"]`,
  `${COMPARED} ${EXPECTED} > Identifier[name=${TIME}]`,
  `${COMPARED} ${EXPECTED} > MemberExpression[property.name=${TIME}]`,
];

export default {
  meta: { name: 'tests' },
  rules: {
    'no-elapsed-time': {
      /** @param {{ report: (problem: { node: unknown, message: string }) => void }} context */
      create: (context) =>
        Object.fromEntries(
          SELECTORS.map((selector) => [
            selector,
            (/** @type {unknown} */ node) => {
              context.report({ node, message: 'No assertion on elapsed time.' });
            },
          ]),
        ),
    },
  },
};
