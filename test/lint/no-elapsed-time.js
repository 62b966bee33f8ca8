/**
 * A rule for oxlint: no assertion on elapsed time. A busy machine makes such a test fail, and an idle one hides what it is for:
 * count work, or say what comes first.
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
